// Package segment knows the bytes: how a run of records becomes an Arrow record batch, how
// many partitions' batches become one object, and how all of it is read back from hostile
// input. It refuses to know where bytes come from or go to: it has no I/O of its own, no
// goroutine, no context, and no offsets until it is given them.
//
// # The L0 object, format version 1
//
// One Arrow IPC file, as any Arrow tool opens it. Each record batch is one partition's
// segment; batches are sorted by (topic id, partition). All integers are little-endian,
// every part begins at a multiple of 8 bytes.
//
//	"ARROW1\0\0"
//	schema message           timestamp: timestamp[ms, UTC] not null, key, value, headers: binary
//	record batch message     <- foz.Segment.ByteStart: FFFFFFFF, length, metadata
//	  body                      timestamps; then per binary column validity, offsets, data
//	record batch message     <- the ByteEnd of one is the ByteStart of the next
//	  ...
//	FFFFFFFF 00000000        end of stream: the bytes so far, from the schema, are a stream
//	footer                   schema, a block per batch, custom metadata (below)
//	length of the footer, "ARROW1"
//
// Buffers are not compressed, or each by itself with LZ4 frames. A validity bitmap is there
// only where a cell is null. A headers cell is what [foz.AppendHeaders] writes.
//
// The footer's custom metadata holds what the index needs, so that the bucket alone can
// rebuild it:
//
//	foz.version    "1"
//	foz.segments   JSON, one array per property (see manifest.go): a row per batch
//	foz.requests   JSON, the requests of the commit and which rows are whose
//	foz.crc32c     of the three values above, in hexadecimal
//
// # The L1 object, format versions 1 and 2
//
// One Arrow IPC file as well, with offsets as a column, and headers as Arrow has lists:
//
//	offset: int64 not null, timestamp: timestamp[ms, UTC] not null, key: binary, value: binary,
//	headers: list<item: struct<key: utf8 not null, value: binary not null> not null>
//
// Buffers are each by itself a zstd frame, or as they are. Offsets ascend strictly and have
// gaps where key compaction left some. No list is null but of a row whose cell is. There are
// two shapes ([Merged]; docs/adr/0006, and 0008 for columns):
//
//	own      one partition, two record batches or more: one foz.Segment, which is the stream
//	         inside the file, [8, end of the end-of-stream marker); its CRC32C is of all that
//	         follows, and vouches for the batches ([InspectMerged])
//	shared   each record batch is a segment, and is read as one of L0 is ([DecodeMerged]);
//	         partitions ascend, a batch may be of no rows
//
// The footer's custom metadata, its JSON as merged_manifest.go has it:
//
//	foz.version    "1" if shared, "2" if own; "1" of both is read
//	foz.level      "1"
//	foz.batches    one array per property: a row per batch; CRC32C of each buffer if own
//	foz.inputs     the placements that were merged
//	foz.columns    from version 2 on: the typed columns, and for each batch where buffers lie, the
//	               nodes, bounds of key and typed columns, and mismatches (merged_columns.go)
//	foz.crc32c     of the values above, in hexadecimal
//
// An own object of a typed topic has, after the columns of every record, those of the topic's
// schema as it was then, all nullable: bool, int64, float64, utf8, binary, timestamp[ms, UTC] and
// date32. Who wants some columns fetches their buffers ([Projection]), each with its checksum.
//
// # Reads
//
// What a read gives out is an Arrow IPC stream with the columns of an L1 object
// ([StreamWriter], and [StreamReader] for clients); what a producer may send is another
// ([ReadStream]).
//
// # What arrow-go does, and what is done by hand
//
// Streams are arrow-go's: it parses and writes schemas, builds, validates and writes arrays.
// Between it and hostile bytes stands one type (messages), because arrow-go allocates what
// metadata claims.
//
// A stored segment is by hand, both ways, because that is the hot path: its metadata is a
// template in which 30 numbers are patched, and Decode wants that template back byte for byte,
// so that there is no metadata to distrust. Decode takes 1 us for a segment of one small row
// where arrow-go with limits and validation takes over 10 (go test -bench Decode ./segment). What
// Decode accepts, arrow-go must read equally: FuzzDecode asks. The footer of a file is written
// with google/flatbuffers, because arrow-go puts nothing into one.
//
// A template that changes is another format version: TestGolden fails. The same holds for L1,
// FuzzDecodeMerged and TestGoldenMerged.
package segment

import (
	"errors"
	"fmt"
	"runtime"
)

// What is wrong with bytes that were stored. Errors that wrap these say what and where.
var (
	// ErrDamaged: the bytes are not what was written. They are never data.
	ErrDamaged = errors.New("damaged")
	// ErrVersion: the object is of a format version that this program does not know.
	ErrVersion = errors.New("unknown format version")
)

// Version is the format version that Encode writes, and Merged of shared objects; VersionOwn is
// that of objects of one partition, which are read in version 1, too.
const (
	Version    = 1
	VersionOwn = 2
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// guard turns a read outside a buffer into an error. Invariant: code under it only reads
// input and builds its own result, so that a panic half-way leaves nothing inconsistent.
func guard(err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		*err = fmt.Errorf("reference outside the message: %w", p)
	default:
		panic(p)
	}
}
