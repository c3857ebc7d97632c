package metadata

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fozlog/foz"
)

const (
	logPrefix  = "log/"
	snapPrefix = "snap/"
)

func slotKey(prefix string, slot uint64) string { return fmt.Sprintf("%s%020d", prefix, slot) }

// LogKey is where slot's entry lies.
func LogKey(slot uint64) string { return slotKey(logPrefix, slot) }

// SnapshotKey is where the state at slot lies.
func SnapshotKey(slot uint64) string { return slotKey(snapPrefix, slot) }

// SlotOf reads the slot out of a LogKey or SnapshotKey.
func SlotOf(key string) (uint64, error) {
	_, digits, ok := strings.Cut(key, "/")
	if !ok || len(digits) != 20 {
		return 0, fmt.Errorf("%w: key %q does not end in 20 digits", ErrDamaged, key)
	}
	slot, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: key %q: %w", ErrDamaged, key, err)
	}
	return slot, nil
}

// CommandID is the id of a command born when slot birth had been heard of.
func CommandID(birth uint64, unique string) string { return fmt.Sprintf("%020d/%s", birth, unique) }

// objectKey is where the object of the commit with this id lies.
func objectKey(id string) string {
	birth, unique, _ := strings.Cut(id, "/")
	slot, err := strconv.ParseUint(birth, 10, 64)
	if err != nil {
		return ""
	}
	return foz.ObjectKey(slot, unique)
}

// idOfObject is the id of the commit of the object at key.
func idOfObject(key string) (string, error) {
	birth, unique, err := foz.ParseObjectKey(key)
	return CommandID(birth, unique), err
}
