// Package fsck compares a bucket with its log: is every object that the log names there, whole,
// and what the index says of it; have the offsets of each partition no hole; and what lies in
// the bucket that nothing names.
//
// It knows the bucket, and reads it only: a service may run meanwhile, or none. It refuses to
// ask one, and to believe what an object says of itself: all bytes are read, every row is
// decoded.
//
// What is found bears the names of docs/reliability.md's invariants 7 (density), 15 (references
// hold) and 16 (no leak). What is unnamed is told and no fault: below the floor it is dead and
// the sweeper's, at the floor and above it may still be named by a commit under way.
package fsck
