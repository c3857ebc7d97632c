// Package verify reads everything and believes nothing: writers that keep a ledger of what
// they were told, readers that follow while the writers write, and a check of what a service
// holds in the end against both.
//
// It knows the contract over HTTP and what a log owes its clients, and it judges by what it
// was answered alone. It refuses to know how the service works, and uses neither the Go
// client nor anything else that would try again or smooth over by itself.
//
//	Writer --request--> service --ack, refusal or silence--> Ledger --+
//	Tail   <--events and pages as they come-- service --> sums -------+--> Report
//	Check  <--every record, in every format-- service ----------------+
//
// What lies in a bucket is held against its log by package fsck, below this one.
//
// What it finds has the names of docs/reliability.md's invariants: lost, duplicate, phantom,
// aborted, order, gap, torn, skip, unseen and their like, see [Report].
package verify
