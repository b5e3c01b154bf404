metadata description = 'A topic with its subscriptions, and who may send to it.'

import { reader, topic as topicType } from '../types.bicep'

param namespaceName string
param topic topicType
@description('Receivers of this topic\'s subscriptions.')
param readers reader[]
param principals object
param senderRoleId string
param receiverRoleId string

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName
}

// Duplicate detection cannot be turned on later, only when a topic is made.
resource entity 'Microsoft.ServiceBus/namespaces/topics@2024-01-01' = {
  parent: namespace
  name: topic.name
  properties: {
    requiresDuplicateDetection: topic.?duplicateDetectionWindow != null
    duplicateDetectionHistoryTimeWindow: topic.?duplicateDetectionWindow
    maxSizeInMegabytes: topic.?maxSizeInMegabytes
  }
}

module subscriptions 'subscription.bicep' = [
  for subscription in topic.subscriptions: {
    name: 'subscription-${uniqueString(entity.id, subscription.name)}'
    params: {
      namespaceName: namespaceName
      topicName: entity.name
      subscription: subscription
      readers: filter(readers, it => toLower(it.?subscription ?? '') == toLower(subscription.name))
      principals: principals
      receiverRoleId: receiverRoleId
    }
  }
]

resource senders 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for service in topic.senders: {
    name: guid(entity.id, principals[service], senderRoleId)
    scope: entity
    properties: {
      principalId: principals[service]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', senderRoleId)
    }
  }
]
