metadata description = 'The namespace, its topics and queues as routes need them, and who may send and receive on which of them.'

import { entities, reader } from '../types.bicep'

param name string
param location string
param tags object
@description('Standard: messages to 256 KB, shared machines. Premium: dedicated units, larger messages, private endpoints.')
param tier 'Standard' | 'Premium'
@description('Messaging units of Premium.')
@allowed([1, 2, 4, 8, 16])
param capacity int
param publicNetworkAccess 'Enabled' | 'Disabled'
param wanted entities
param readers reader[]
@description('Principal ids of the services, by name.')
param principals object
param senderRoleId string
param receiverRoleId string
param workspaceId string

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: tier
    tier: tier
    capacity: tier == 'Premium' ? capacity : null
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: publicNetworkAccess
    zoneRedundant: tier == 'Premium' ? true : null
    premiumMessagingPartitions: tier == 'Premium' ? 1 : null
  }
}

module topics 'topic.bicep' = [
  for topic in wanted.topics: {
    name: 'topic-${uniqueString(name, topic.name)}'
    params: {
      namespaceName: namespace.name
      topic: topic
      readers: filter(readers, it => toLower(it.?topic ?? '') == toLower(topic.name))
      principals: principals
      senderRoleId: senderRoleId
      receiverRoleId: receiverRoleId
    }
  }
]

module queues 'queue.bicep' = [
  for queue in wanted.queues: {
    name: 'queue-${uniqueString(name, queue.name)}'
    params: {
      namespaceName: namespace.name
      queue: queue
      readers: filter(readers, it => toLower(it.?queue ?? '') == toLower(queue.name))
      principals: principals
      senderRoleId: senderRoleId
      receiverRoleId: receiverRoleId
    }
  }
]

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'millrace'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = namespace.id
// Sovereign clouds have other names: the endpoint says which.
output fullyQualifiedName string = split(split(namespace.properties.serviceBusEndpoint, '/')[2], ':')[0]
