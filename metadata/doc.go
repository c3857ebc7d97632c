// Package metadata knows which objects hold which offsets, and in what order that was
// decided. It keeps a log of decisions in the bucket with one primitive, create-if-absent:
// a pure State, the bucket's log, a Replica of the state at every node that may lead, and
// a Client that asks whoever leads. It knows names, ranges, counts, timestamps and
// checksums, and refuses to open a segment or to look at a clock for safety.
//
// The keys:
//
//	log/<slot>    one entry, immutable: a CLAIM of leadership, or COMMANDS by the leader
//	snap/<slot>   the state after entries 1..slot, immutable
//
// Invariant: the state at a slot is the same at every node that ever holds it. Only the
// owner of the last claim can write the next slot, because a claim is never deleted and
// every slot is created once.
package metadata
