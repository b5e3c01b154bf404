metadata description = 'What Azure alone can see of the namespace, told by e-mail.'

param prefix string
param tags object
param email string
param namespaceId string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${prefix}-people'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'millrace'
    enabled: true
    emailReceivers: [
      {
        name: 'people'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var watched = [
  {
    name: 'dead-letters'
    metric: 'DeadletteredMessages'
    aggregation: 'Maximum'
    threshold: 0
    description: 'A receiver, or a source of the bridge, could not handle a message: millrace azure dead list shows it.'
  }
  {
    name: 'throttled'
    metric: 'ThrottledRequests'
    aggregation: 'Total'
    threshold: 100
    description: 'The namespace asks to slow down: more messaging units, or Premium in place of Standard.'
  }
  {
    name: 'server-errors'
    metric: 'ServerErrors'
    aggregation: 'Total'
    threshold: 10
    description: 'Service Bus fails by itself; the bridge holds what it has and tries again.'
  }
]

resource alerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for watch in watched: {
    name: '${prefix}-${watch.name}'
    location: 'global'
    tags: tags
    properties: {
      description: watch.description
      severity: 2
      enabled: true
      scopes: [namespaceId]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: watch.name
            metricName: watch.metric
            timeAggregation: watch.aggregation
            operator: 'GreaterThan'
            threshold: watch.threshold
          }
        ]
      }
      actions: [
        {
          actionGroupId: people.id
        }
      ]
    }
  }
]
