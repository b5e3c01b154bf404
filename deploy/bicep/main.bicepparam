// An example: copy it, and deploy yours. Without any of it, the demonstration's topic and sizes for a trial are deployed.
using 'main.bicep'

param name = 'millrace'
param tags = { application: 'millrace', environment: 'production' }

// From your own routes file:
//   pnpm --silent millrace azure plan --routes routes.yaml --format bicep > deploy/bicep/entities.json
// param entities = loadJsonContent('entities.json')

// Who receives, and from where. Each gets Data Receiver on this subscription and on nothing else.
// param readers = [
//   { principalId: '<object id of their managed identity>', topic: 'predictions', subscription: 'enterprise', largeResults: true }
// ]

// Which of the vault's secrets a service may read; set them first (README.md).
// param secrets = [
//   { service: 'notifier', name: 'webhook-key' }
// ]

param serviceBusTier = 'Premium'
param serviceBusCapacity = 1

// true: then images, secrets and the chart come in from inside the network only (README.md).
param privateEndpoints = false

// The group whose members may administrate the cluster: az ad group show --group NAME --query id
param clusterAdminGroupIds = []

param nodesMin = 3
param nodesMax = 9
param alertEmail = ''
