package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/fozlog/foz/metadata/logpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// FormatVersion is the version of the log's entries that this code writes and understands.
//
// A command, column or field that is new here needs no new version: what is there already
// means what it meant, and a node that does not know the new halts at it (ErrNewer) and goes
// on from there once it is upgraded. So an upgrade goes node by node, in any order; nodes
// that are left behind stop when the first new command is logged. A new version, and a FORMAT
// command that switches it on when every node has it, is for a change of what Apply does
// with commands that are there already.
const FormatVersion = 1

var (
	// ErrDamaged: bytes that are not what foz wrote.
	ErrDamaged = errors.New("damaged")
	// ErrNewer: an entry, command or field that this version does not know. A node that
	// meets one halts: to skip it would be to disagree with those that apply it.
	ErrNewer = errors.New("written by a newer version of foz")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const logMagic = "FOZL"

// seal frames a message as an object: magic, protobuf, crc32c of both (4 bytes, little
// endian).
func seal(magic string, message []byte) []byte {
	body := append([]byte(magic), message...)
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

func unseal(magic string, body []byte) ([]byte, error) {
	if len(body) < len(magic)+4 || string(body[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: does not begin with %q", ErrDamaged, magic)
	}
	end := len(body) - 4
	if crc32.Checksum(body[:end], castagnoli) != binary.LittleEndian.Uint32(body[end:]) {
		return nil, fmt.Errorf("%w: checksum differs", ErrDamaged)
	}
	return body[len(magic):end], nil
}

// encodeEntry gives the bytes of a log object.
func encodeEntry(e *logpb.Entry) []byte {
	e.Version = FormatVersion
	message, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("marshal log entry: %v", err)) // invalid UTF-8: callers have checked
	}
	return seal(logMagic, message)
}

// DecodeEntry reads the bytes of a log object. Errors: ErrDamaged, ErrNewer.
func DecodeEntry(body []byte) (*logpb.Entry, error) {
	message, err := unseal(logMagic, body)
	if err != nil {
		return nil, err
	}
	e := new(logpb.Entry)
	if err := proto.Unmarshal(message, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if e.Version != FormatVersion || e.Kind == nil {
		return nil, fmt.Errorf("%w: entry version %d", ErrNewer, e.Version)
	}
	if err := rejectUnknown(e.ProtoReflect()); err != nil {
		return nil, err
	}
	if len(e.Cluster) != 16 || len(e.Prev) != 32 {
		return nil, fmt.Errorf("%w: header of slot %d", ErrDamaged, e.Slot)
	}
	for _, c := range e.GetCommands().GetCommands() {
		if c.Body == nil {
			return nil, fmt.Errorf("%w: command %s has no known body", ErrNewer, c.Id)
		}
	}
	return e, nil
}

// rejectUnknown walks a message for fields that this version does not know.
func rejectUnknown(m protoreflect.Message) (err error) {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%w: unknown field in %s", ErrNewer, m.Descriptor().FullName())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = rejectUnknown(v.List().Get(i).Message())
			}
		default:
			err = rejectUnknown(v.Message())
		}
		return err == nil
	})
	return err
}
