metadata description = 'The Kubernetes cluster: workload identity, Cilium, KEDA, Key Vault, disks in three zones; nobody has a password of it.'

param name string
param location string
param tags object
param networkName string
param nodesSubnetId string
param networkContributorRoleId string
@description('Empty: the newest that AKS supports by default.')
param kubernetesVersion string
param nodeSize string
@minValue(1)
param nodesMin int
param nodesMax int
param zones string[]
@description('Groups of Entra ID whose members administrate the cluster.')
param adminGroupIds string[]
@description('The API server has no public address; deploy the chart from inside the network.')
param isPrivate bool
@description('Networks from which the public API server may be reached; empty: all.')
param authorizedIpRanges string[]
param workspaceId string

// Of the control plane: it joins nodes to the subnet, and does nothing else outside its own resource group.
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' existing = {
  name: networkName

  resource nodes 'subnets' existing = {
    name: 'nodes'
  }
}

resource joins 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(network::nodes.id, identity.id, networkContributorRoleId)
  scope: network::nodes
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', networkContributorRoleId)
  }
}

resource cluster 'Microsoft.ContainerService/managedClusters@2025-10-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Base'
    tier: 'Standard'
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    dnsPrefix: name
    kubernetesVersion: empty(kubernetesVersion) ? null : kubernetesVersion
    enableRBAC: true
    disableLocalAccounts: true
    aadProfile: {
      managed: true
      enableAzureRBAC: true
      adminGroupObjectIDs: adminGroupIds
    }
    apiServerAccessProfile: {
      enablePrivateCluster: isPrivate
      authorizedIPRanges: isPrivate ? null : authorizedIpRanges
      disableRunCommand: true
    }
    autoUpgradeProfile: {
      upgradeChannel: 'patch'
      nodeOSUpgradeChannel: 'NodeImage'
    }
    networkProfile: {
      networkPlugin: 'azure'
      networkPluginMode: 'overlay'
      networkDataplane: 'cilium'
      networkPolicy: 'cilium'
      loadBalancerSku: 'standard'
      podCidr: '10.244.0.0/16'
      serviceCidr: '10.245.0.0/16'
      dnsServiceIP: '10.245.0.10'
    }
    oidcIssuerProfile: {
      enabled: true
    }
    securityProfile: {
      workloadIdentity: {
        enabled: true
      }
      imageCleaner: {
        enabled: true
        intervalHours: 168
      }
    }
    workloadAutoScalerProfile: {
      keda: {
        enabled: true
      }
    }
    storageProfile: {
      diskCSIDriver: {
        enabled: true
      }
      fileCSIDriver: {
        enabled: false
      }
      snapshotController: {
        enabled: true
      }
    }
    addonProfiles: {
      azureKeyvaultSecretsProvider: {
        enabled: true
        config: {
          enableSecretRotation: 'true'
          rotationPollInterval: '2m'
        }
      }
      omsagent: {
        enabled: true
        config: {
          logAnalyticsWorkspaceResourceID: workspaceId
          useAADAuth: 'true'
        }
      }
    }
    azureMonitorProfile: {
      metrics: {
        enabled: true
      }
    }
    agentPoolProfiles: [
      {
        name: 'system'
        mode: 'System'
        count: 2
        vmSize: nodeSize
        osType: 'Linux'
        osSKU: 'AzureLinux'
        vnetSubnetID: nodesSubnetId
        availabilityZones: zones
        nodeTaints: ['CriticalAddonsOnly=true:NoSchedule']
        upgradeSettings: {
          maxSurge: '33%'
        }
      }
      {
        name: 'work'
        mode: 'User'
        count: nodesMin
        enableAutoScaling: true
        minCount: nodesMin
        maxCount: nodesMax
        vmSize: nodeSize
        osType: 'Linux'
        osSKU: 'AzureLinux'
        vnetSubnetID: nodesSubnetId
        availabilityZones: zones
        upgradeSettings: {
          maxSurge: '33%'
        }
      }
    ]
  }
  dependsOn: [joins]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'millrace'
  scope: cluster
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'kube-audit-admin'
        enabled: true
      }
      {
        category: 'guard'
        enabled: true
      }
      {
        category: 'cluster-autoscaler'
        enabled: true
      }
    ]
  }
}

output name string = cluster.name
output oidcIssuer string = cluster.properties.oidcIssuerProfile.issuerURL
output kubeletId string = cluster.properties.identityProfile.kubeletidentity.objectId
