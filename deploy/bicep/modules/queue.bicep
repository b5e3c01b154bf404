metadata description = 'A queue, and who may send to it and receive from it.'

import { queue as queueType, reader } from '../types.bicep'

param namespaceName string
param queue queueType
param readers reader[]
param principals object
param senderRoleId string
param receiverRoleId string

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName
}

// Duplicate detection and sessions cannot be changed later, only said when a queue is made.
resource entity 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: queue.name
  properties: {
    requiresDuplicateDetection: queue.?duplicateDetectionWindow != null
    duplicateDetectionHistoryTimeWindow: queue.?duplicateDetectionWindow
    maxSizeInMegabytes: queue.?maxSizeInMegabytes
    requiresSession: queue.requiresSession
    lockDuration: queue.?lockDuration
    maxDeliveryCount: queue.?maxDeliveryCount
  }
}

resource senders 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for service in queue.senders: {
    name: guid(entity.id, principals[service], senderRoleId)
    scope: entity
    properties: {
      principalId: principals[service]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', senderRoleId)
    }
  }
]

resource ourReceivers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for service in queue.receivers: {
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
