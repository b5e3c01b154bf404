// The Go SDK, for its own live tests, which its module ships. Nothing here imports it: `go mod tidy` would empty this file.
// A new version: go get -t github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus@vX.Y.Z
module millrace/conformance

go 1.25.0

require github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus v1.11.0

require (
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.23.0 // indirect
	github.com/Azure/azure-sdk-for-go/sdk/internal v1.12.0 // indirect
	github.com/Azure/go-amqp v1.7.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
