// The forms of generated/servicebus.json, which `millrace azure plan --format bicep` writes, and of parameters.

@export()
type entities = {
  topics: topic[]
  queues: queue[]
}

@export()
type topic = {
  name: string
  @description('ISO 8601; absent: duplicate detection is off.')
  duplicateDetectionWindow: string?
  maxSizeInMegabytes: int?
  @description('Services that may send here.')
  senders: string[]
  subscriptions: subscription[]
}

@export()
type queue = {
  name: string
  duplicateDetectionWindow: string?
  maxSizeInMegabytes: int?
  requiresSession: bool
  lockDuration: string?
  maxDeliveryCount: int?
  senders: string[]
  @description('Services that may receive here.')
  receivers: string[]
}

@export()
type subscription = {
  name: string
  requiresSession: bool
  lockDuration: string?
  maxDeliveryCount: int?
  receivers: string[]
  @description('Without rules it takes everything.')
  rules: rule[]
}

@export()
@description('By SQL, or by properties that must be equal, which costs Service Bus less.')
type rule = {
  name: string
  sql: string?
  correlation: {
    @description('Application properties, such as state or model.')
    properties: object?
    @description('The subject of the message.')
    label: string?
    correlationId: string?
  }?
}

@export()
@description('Somebody who receives: gets Data Receiver on this one queue or subscription, and on nothing else.')
type reader = {
  @description('Object id of the managed identity, application, group or user.')
  principalId: string
  principalType: ('ServicePrincipal' | 'Group' | 'User')?
  topic: string?
  @description('With a topic: its subscription.')
  subscription: string?
  @description('Instead of topic and subscription.')
  queue: string?
  @description('Also reads what was too large for a message: Storage Blob Data Reader on the container.')
  largeResults: bool?
}

@export()
@description('A secret of the vault that one service may read.')
type namedSecret = {
  service: 'bridge' | 'notifier'
  name: string
}
