// Package foz holds the nouns of a log service whose segments are Arrow files in an
// object store, and the kinds of error its callers can act on.
//
// # How a record is written
//
// A client POSTs records to one topic. httpapi validates the whole request, picks a
// partition for each record and hands ingest a [Request]: one [Batch] per partition.
// ingest appends each batch's [Rows] to a shared buffer. When the buffer is due it encodes
// one Arrow file (an object) in which every partition has one run of rows (a [Segment]),
// creates the object in the store under a key that must not exist, and then sends metadata
// a [Commit]: the object's name, its segments, and which rows belong to which request.
//
// The metadata leader puts commits into a log entry and creates the next slot of the log,
// again under a key that must not exist. The entry is applied: each accepted request's rows
// get the next offsets of their partitions, and become a [Placement]. Only then is the
// client answered, with an [Ack].
//
// Before the first PUT a crash leaves nothing. Between the two PUTs it leaves an object that
// no entry names: garbage. After the second the records are there, for good, and whoever
// asks again with the same object name or the same producer sequence is told the same
// offsets.
//
// # How a record is read
//
// Every node keeps a replica of the index: for every partition, the placements in order of
// offset. A read locates the placements that overlap its range, takes each one's bytes from
// this node's cache or with a ranged GET, checks the bytes against the checksum the index
// holds, decodes them, and skips rows that no placement names (rows of refused or duplicate
// requests lie in the same objects).
//
// # What this package knows
//
// Names, ranges and numbers, and the standard library. It does no I/O and imports nothing
// else, so that every room of the house can speak of the same things without knowing each
// other.
package foz
