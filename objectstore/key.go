package objectstore

import (
	"fmt"
	"strings"
)

// The limits of a key, a listing and a deletion. They are S3's and those of file systems.
const (
	KeyBytesMax     = 512  // bytes of a key
	SegmentBytesMax = 255  // bytes of a key between two slashes
	PageMax         = 1000 // objects of one List
	DeleteMax       = 1000 // keys of one Delete
)

// ValidateKey is nil for a key that every Store takes, else an ErrKey that says why not: a key
// has 1 to 512 bytes of [A-Za-z0-9._/-]; its segments, between slashes, have 1 to 255 bytes and
// do not begin with a dot. So no key climbs out of a directory, none is hidden in one, and a
// Dir has room for files of its own.
func ValidateKey(key string) error {
	if len(key) > KeyBytesMax {
		return fmt.Errorf("%w: %.32q... is over %d bytes", ErrKey, key, KeyBytesMax)
	}
	for rest, more := key, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "" {
			return fmt.Errorf("%w: %q has an empty segment", ErrKey, key)
		}
		if fault := segmentFault(segment); fault != "" {
			return fmt.Errorf("%w: %q has a segment that %s", ErrKey, key, fault)
		}
	}
	return nil
}

// ValidatePrefix is nil for a prefix that a key can have, the empty one included, else an
// ErrKey that says why not.
func ValidatePrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return ValidateKey(prefix + strings.Repeat("x", strings.Count(prefix[len(prefix)-1:], "/")))
}

// ValidateDelete is nil if keys can be given to one Delete.
func ValidateDelete(keys []string) error {
	if len(keys) > DeleteMax {
		return fmt.Errorf("%w: %d keys to delete at once, at most %d", ErrKey, len(keys), DeleteMax)
	}
	for _, key := range keys {
		if err := ValidateKey(key); err != nil {
			return err
		}
	}
	return nil
}

func segmentFault(segment string) string {
	if segment[0] == '.' {
		return "begins with a dot"
	}
	if len(segment) > SegmentBytesMax {
		return fmt.Sprintf("is over %d bytes", SegmentBytesMax)
	}
	for i := range len(segment) {
		if !keyByte[segment[i]] {
			return fmt.Sprintf("holds byte %q", segment[i])
		}
	}
	return ""
}

var keyByte = func() (valid [256]bool) {
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") {
		valid[b] = true
	}
	return valid
}()
