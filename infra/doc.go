// Package infra holds what runs foz in earnest: an image, a unit, policies for the bucket. It
// has no code of its own; its tests know what those files must say, read them as strictly as
// can be done without the programs they are for, and try the policies on a MinIO server where
// there is one. It refuses to know how foz works: only its flags and the names in its bucket.
package infra
