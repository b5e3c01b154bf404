metadata description = 'A network with a subnet for nodes and one for private endpoints, and the names by which these are found.'

param name string
param location string
param tags object
param addressPrefix string
@description('Private DNS zones, by what they are for. Empty: no private endpoints.')
param zones string[]

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressPrefix]
    }
    // Inside the network: as resources of their own, a second deployment would take them away for a moment.
    subnets: [
      {
        name: 'nodes' // pods have addresses of their own (overlay), so that a node needs one address
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 0)
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 1)
        }
      }
    ]
  }

  resource nodes 'subnets' existing = {
    name: 'nodes'
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }
}

resource privateZones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zones: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, index) in zones: {
    parent: privateZones[index]
    name: name
    location: 'global'
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

output name string = network.name
output nodesId string = network::nodes.id
output endpointsId string = network::endpoints.id
