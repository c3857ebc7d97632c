package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fozlog/foz"
)

// ColumnsMax is how many columns a schema may have.
const ColumnsMax = 1000

const (
	pointerBytesMax = 1024
	pointerStepsMax = 100 // less than how deep a value may nest
)

var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// Types are all types, in the order in which people are told of them.
var Types = []foz.ColumnType{
	foz.TypeBool, foz.TypeInt64, foz.TypeFloat64, foz.TypeUTF8, foz.TypeBinary,
	foz.TypeTimestamp, foz.TypeDate32,
}

// envelope are the names that every record has, or may have as an object, and that no typed
// column may: "encoding" says that a record's bytes are in base64.
var envelope = []string{
	foz.ColumnPartition, foz.ColumnOffset, foz.ColumnTimestamp, foz.ColumnKey, foz.ColumnValue,
	foz.ColumnHeaders, "encoding",
}

// Check says what is wrong with a schema, by pointers into {"columns":[...],"on_mismatch":...};
// nothing if it can be used.
func Check(s foz.Schema) (wrong []foz.InvalidRecord) {
	note := func(pointer, format string, args ...any) {
		wrong = append(wrong, foz.InvalidRecord{
			Pointer: pointer, Detail: fmt.Sprintf(format, args...),
		})
	}
	if n := len(s.Columns); n == 0 || n > ColumnsMax {
		note("/columns", "%d columns, a schema has 1 to %d", n, ColumnsMax)
		return wrong
	}
	if n := s.Bytes(); n > foz.SchemaBytesMax {
		note("/columns", "names, types and pointers have %d bytes, at most %d", n, foz.SchemaBytesMax)
	}
	switch s.OnMismatch {
	case "", foz.MismatchNull, foz.MismatchReject:
	default:
		note("/on_mismatch", "neither %q nor %q", foz.MismatchNull, foz.MismatchReject)
	}
	seen := map[string]bool{}
	for i, c := range s.Columns {
		at := "/columns/" + strconv.Itoa(i)
		switch {
		case !columnName.MatchString(c.Name):
			note(at+"/name", "a name is a letter or _ and then at most 127 letters, digits and _")
		case slices.Contains(envelope, c.Name):
			note(at+"/name", "%s is of every record: no column may be called so", c.Name)
		case seen[c.Name]:
			note(at+"/name", "there are two columns %s", c.Name)
		}
		seen[c.Name] = true
		if !slices.Contains(Types, c.Type) {
			note(at+"/type", "a type is one of %s", typeNames())
		}
		if _, err := parsePointer(c.Pointer); err != nil {
			note(at+"/pointer", "%s", err)
		}
	}
	return wrong
}

func typeNames() string {
	names := make([]string, len(Types))
	for i, t := range Types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// parsePointer splits an RFC 6901 pointer into what it steps through; "" is the whole value.
func parsePointer(pointer string) (steps []string, err error) {
	switch {
	case pointer == "":
		return nil, nil
	case pointer[0] != '/':
		return nil, fmt.Errorf("a pointer is empty or begins with /")
	case len(pointer) > pointerBytesMax:
		return nil, fmt.Errorf("a pointer has at most %d bytes", pointerBytesMax)
	case strings.Count(pointer, "/") > pointerStepsMax:
		return nil, fmt.Errorf("a pointer has at most %d steps", pointerStepsMax)
	}
	for step := range strings.SplitSeq(pointer[1:], "/") {
		bare := strings.NewReplacer("~0", "", "~1", "").Replace(step)
		if strings.Contains(bare, "~") {
			return nil, fmt.Errorf("in a pointer ~ is written ~0, and / in a name ~1")
		}
		steps = append(steps, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	return steps, nil
}
