metadata description = 'A way into one service from inside the network, under its ordinary name.'

param name string
param location string
param tags object
param targetId string
@description('Which of its services: namespace, vault, blob, registry.')
param groupId string
param subnetId string
@description('Name of the private DNS zone, in this resource group.')
param zone string

resource privateZone 'Microsoft.Network/privateDnsZones@2024-06-01' existing = {
  name: zone
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [groupId]
        }
      }
    ]
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: {
          privateDnsZoneId: privateZone.id
        }
      }
    ]
  }
}
