// Package logpb is the wire form of the metadata log: its entries, its snapshots, and the
// messages about them on the bus, as protobuf, because they outlive versions. It knows
// shapes only; what they mean is in package metadata. log.pb.go is generated from log.proto
// by `task proto`.
package logpb
