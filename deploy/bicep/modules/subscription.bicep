metadata description = 'A subscription with its rules, and who may receive from it.'

import { reader, subscription as subscriptionType } from '../types.bicep'

param namespaceName string
param topicName string
param subscription subscriptionType
param readers reader[]
param principals object
param receiverRoleId string

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName

  resource topic 'topics' existing = {
    name: topicName
  }
}

resource entity 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2024-01-01' = {
  parent: namespace::topic
  name: subscription.name
  properties: {
    requiresSession: subscription.requiresSession
    lockDuration: subscription.?lockDuration
    maxDeliveryCount: subscription.?maxDeliveryCount
  }
}

// One at a time: changes beside each other to one subscription are refused as conflicts.
@batchSize(1)
resource filters 'Microsoft.ServiceBus/namespaces/topics/subscriptions/rules@2024-01-01' = [
  for rule in subscription.rules: {
    parent: entity
    name: rule.name
    properties: {
      filterType: rule.?correlation == null ? 'SqlFilter' : 'CorrelationFilter'
      sqlFilter: rule.?correlation == null ? { sqlExpression: rule.?sql } : null
      correlationFilter: rule.?correlation
    }
  }
]

// Azure makes every subscription with a rule that takes everything, and a template cannot delete a rule. Beside declared rules
// it is made to take nothing, after these are there: in between too much arrives rather than too little.
resource closed 'Microsoft.ServiceBus/namespaces/topics/subscriptions/rules@2024-01-01' = if (!empty(subscription.rules)) {
  parent: entity
  name: '$Default'
  properties: {
    filterType: 'SqlFilter'
    sqlFilter: {
      sqlExpression: '1=0'
    }
  }
  dependsOn: [filters]
}

resource ourReceivers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for service in subscription.receivers: {
    name: guid(entity.id, principals[service], receiverRoleId)
    scope: entity
    properties: {
      principalId: principals[service]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiverRoleId)
    }
  }
]

resource theirReceivers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for receiver in readers: {
    name: guid(entity.id, receiver.principalId, receiverRoleId)
    scope: entity
    properties: {
      principalId: receiver.principalId
      principalType: receiver.?principalType ?? 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiverRoleId)
    }
  }
]
