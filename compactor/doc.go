// Package compactor makes few large objects of many small ones, drops what retention and key
// compaction say may go, and throws away what no placement names. It knows which placements
// lie side by side, how their rows are rewritten, and what may be deleted. It refuses to
// decide what is live, who owns which offsets, and whether a rewriting stands: metadata does,
// and says so with swaps, floors and releases. Nobody hands out work: compactors share
// partitions by a hash, and where two meet the swap decides. It holds no state that matters;
// a crash anywhere leaves garbage for the next pass.
package compactor
