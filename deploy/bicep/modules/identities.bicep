metadata description = 'An identity per service, which the pods of the chart take by their service account: no key anywhere.'

param prefix string
param location string
param tags object
param services string[]
@description('Issuer of the cluster\'s service account tokens.')
param oidcIssuer string
param kubernetesNamespace string
@description('A service account is called so, followed by the service.')
param serviceAccountPrefix string

resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [
  for service in services: {
    name: '${prefix}-${service}'
    location: location
    tags: tags
  }
]

resource credentials 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = [
  for (service, index) in services: {
    parent: identities[index]
    name: 'kubernetes'
    properties: {
      issuer: oidcIssuer
      subject: 'system:serviceaccount:${kubernetesNamespace}:${serviceAccountPrefix}${service}'
      audiences: ['api://AzureADTokenExchange']
    }
  }
]

output identities array = [
  for (service, index) in services: {
    service: service
    principalId: identities[index].properties.principalId
    clientId: identities[index].properties.clientId
  }
]
