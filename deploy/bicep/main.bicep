metadata name = 'Millrace'
metadata description = 'All of Azure that Millrace needs, in one resource group: README.md beside this file says how, and what it costs.'

targetScope = 'resourceGroup'

import { entities as entitiesType, namedSecret, reader } from 'types.bicep'

@description('What everything is called after.')
@minLength(3)
@maxLength(12)
param name string = 'millrace'

param location string = resourceGroup().location
param tags object = { application: 'millrace' }

@description('Topics and queues, as `millrace azure plan --format bicep` writes them from the bridge\'s routes file.')
param entities entitiesType = loadJsonContent('generated/servicebus.json')

@description('Who receives: each gets Data Receiver on one subscription or queue, and on nothing else.')
param readers reader[] = []

@description('Secrets of the vault that a service may read. They have to be there: name them in a second deployment.')
param secrets namedSecret[] = []

@description('Premium where messages are large, loads steady, or the network private.')
param serviceBusTier 'Standard' | 'Premium' = 'Standard'

@description('Messaging units of Premium.')
@allowed([1, 2, 4, 8, 16])
param serviceBusCapacity int = 1

@description('Service Bus, vault, storage and registry are reached from the network only. Wants serviceBusTier Premium.')
param privateEndpoints bool = false

@description('The Kubernetes API server has no public address.')
param privateCluster bool = false

@description('Networks from which a public API server may be reached; empty: all.')
param authorizedIpRanges string[] = []

@description('Groups of Entra ID whose members administrate the cluster.')
param clusterAdminGroupIds string[] = []

@description('Empty: the version that AKS takes by default.')
param kubernetesVersion string = ''

@description('Memory for models decides; it must allow premium disks.')
param nodeSize string = 'Standard_D4ds_v5'

@description('Three, so that a JetStream of three has a node in each zone.')
@minValue(1)
param nodesMin int = 3

param nodesMax int = 6

@description('Empty where the region has none; then JetStream survives a node, not a data centre.')
param zones string[] = ['1', '2', '3']

@description('Two subnets of 256 addresses are cut from it.')
param addressPrefix string = '10.40.0.0/16'

@description('Namespace of the chart, and how its service accounts are called before the service\'s name.')
param kubernetesNamespace string = 'millrace'
param serviceAccountPrefix string = 'millrace-'

@description('Days after which what was too large for a message is deleted; 0: never.')
@minValue(0)
param largeResultsDays int = 30

@minValue(30)
@maxValue(730)
param logsDays int = 30

@description('Who is told of dead letters, throttling and errors of Service Bus; empty: nobody.')
param alertEmail string = ''

var identitiesTable = loadJsonContent('generated/identities.json')
var roles = identitiesTable.roles

var suffix = uniqueString(resourceGroup().id)
var prefix = '${name}-${take(suffix, 6)}'
var bare = toLower(replace('${name}${suffix}', '-', ''))
var isBusPrivate = privateEndpoints && serviceBusTier == 'Premium'
var access = privateEndpoints ? 'Disabled' : 'Enabled'

var zoneOf = {
  bus: 'privatelink.servicebus.windows.net'
  vault: 'privatelink.vaultcore.azure.net'
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  registry: 'privatelink${environment().suffixes.acrLoginServer}'
}

module logs 'modules/logs.bicep' = {
  name: 'logs'
  params: {
    name: '${prefix}-logs'
    location: location
    tags: tags
    retentionDays: logsDays
  }
}

module network 'modules/network.bicep' = {
  name: 'network'
  params: {
    name: prefix
    location: location
    tags: tags
    addressPrefix: addressPrefix
    zones: privateEndpoints ? map(items(zoneOf), zone => zone.value) : []
  }
}

module cluster 'modules/cluster.bicep' = {
  name: 'cluster'
  params: {
    name: prefix
    location: location
    tags: tags
    networkName: network.outputs.name
    nodesSubnetId: network.outputs.nodesId
    networkContributorRoleId: roles['Network Contributor']
    kubernetesVersion: kubernetesVersion
    nodeSize: nodeSize
    nodesMin: nodesMin
    nodesMax: nodesMax
    zones: zones
    adminGroupIds: clusterAdminGroupIds
    isPrivate: privateCluster
    authorizedIpRanges: authorizedIpRanges
    workspaceId: logs.outputs.id
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    prefix: prefix
    location: location
    tags: tags
    clusterName: cluster.outputs.name
    workspaceId: logs.outputs.id
  }
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    prefix: prefix
    location: location
    tags: tags
    services: identitiesTable.services
    oidcIssuer: cluster.outputs.oidcIssuer
    kubernetesNamespace: kubernetesNamespace
    serviceAccountPrefix: serviceAccountPrefix
  }
}

var principals = toObject(identities.outputs.identities, it => it.service, it => it.principalId)
var clientIds = toObject(identities.outputs.identities, it => it.service, it => it.clientId)

module registry 'modules/registry.bicep' = {
  name: 'registry'
  params: {
    name: take(bare, 50)
    location: location
    tags: tags
    sku: privateEndpoints ? 'Premium' : 'Standard'
    publicNetworkAccess: access
    pullerId: cluster.outputs.kubeletId
    pullRoleId: roles.AcrPull
    workspaceId: logs.outputs.id
  }
}

module serviceBus 'modules/service-bus.bicep' = {
  name: 'service-bus'
  params: {
    name: '${prefix}-bus'
    location: location
    tags: tags
    tier: serviceBusTier
    capacity: serviceBusCapacity
    publicNetworkAccess: isBusPrivate ? 'Disabled' : 'Enabled'
    wanted: entities
    readers: readers
    principals: principals
    senderRoleId: roles['Azure Service Bus Data Sender']
    receiverRoleId: roles['Azure Service Bus Data Receiver']
    workspaceId: logs.outputs.id
  }
}

module vault 'modules/key-vault.bicep' = {
  name: 'key-vault'
  params: {
    name: take(bare, 24)
    location: location
    tags: tags
    publicNetworkAccess: privateEndpoints ? 'disabled' : 'enabled'
    workspaceId: logs.outputs.id
  }
}

module secretReaders 'modules/secret-reader.bicep' = [
  for secret in secrets: {
    name: 'secret-${secret.service}-${uniqueString(secret.name)}'
    params: {
      vaultName: vault.outputs.name
      secretName: secret.name
      principalId: principals[secret.service]
      roleId: roles['Key Vault Secrets User']
    }
  }
]

module largeResults 'modules/large-results.bicep' = {
  name: 'large-results'
  params: {
    name: take(bare, 24)
    location: location
    tags: tags
    publicNetworkAccess: access
    containerName: 'outcomes'
    retentionDays: largeResultsDays
    writers: identitiesTable.largeResultsWriters
    principals: principals
    // Whoever reads two subscriptions is there twice, and a role can be given once.
    readers: union(map(filter(readers, it => it.?largeResults ?? false), it => it.principalId), [])
    writerRoleId: roles['Storage Blob Data Contributor']
    readerRoleId: roles['Storage Blob Data Reader']
    workspaceId: logs.outputs.id
  }
}

module busEndpoint 'modules/private-endpoint.bicep' = if (isBusPrivate) {
  name: 'bus-endpoint'
  params: {
    name: '${prefix}-bus'
    location: location
    tags: tags
    targetId: serviceBus.outputs.id
    groupId: 'namespace'
    subnetId: network.outputs.endpointsId
    zone: zoneOf.bus
  }
}

module vaultEndpoint 'modules/private-endpoint.bicep' = if (privateEndpoints) {
  name: 'vault-endpoint'
  params: {
    name: '${prefix}-vault'
    location: location
    tags: tags
    targetId: vault.outputs.id
    groupId: 'vault'
    subnetId: network.outputs.endpointsId
    zone: zoneOf.vault
  }
}

module blobEndpoint 'modules/private-endpoint.bicep' = if (privateEndpoints) {
  name: 'blob-endpoint'
  params: {
    name: '${prefix}-blob'
    location: location
    tags: tags
    targetId: largeResults.outputs.id
    groupId: 'blob'
    subnetId: network.outputs.endpointsId
    zone: zoneOf.blob
  }
}

module registryEndpoint 'modules/private-endpoint.bicep' = if (privateEndpoints) {
  name: 'registry-endpoint'
  params: {
    name: '${prefix}-registry'
    location: location
    tags: tags
    targetId: registry.outputs.id
    groupId: 'registry'
    subnetId: network.outputs.endpointsId
    zone: zoneOf.registry
  }
}

module alerts 'modules/alerts.bicep' = if (!empty(alertEmail)) {
  name: 'alerts'
  params: {
    prefix: prefix
    tags: tags
    email: alertEmail
    namespaceId: serviceBus.outputs.id
  }
}

output clusterName string = cluster.outputs.name
var receivable = union(
  flatten(map(entities.topics, topic => map(topic.subscriptions, it => toLower('${topic.name}/${it.name}')))),
  map(entities.queues, queue => toLower(queue.name))
)
@description('Readers of what is not among the entities: they got no role. It should be empty.')
output readersOfNothing reader[] = filter(
  readers,
  it => !contains(receivable, toLower(it.?queue ?? join([it.?topic ?? '', it.?subscription ?? ''], '/')))
)

output registryName string = take(bare, 50)
output registryServer string = registry.outputs.loginServer
output serviceBusNamespace string = serviceBus.outputs.fullyQualifiedName
output keyVaultName string = vault.outputs.name
output keyVaultUri string = vault.outputs.uri
output blobAccountUrl string = largeResults.outputs.blobEndpoint
output prometheusEndpoint string = monitoring.outputs.prometheusEndpoint
output tenantId string = tenant().tenantId
@description('Of each service, for the chart\'s service accounts.')
output clientIds object = clientIds
