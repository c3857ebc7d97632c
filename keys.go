package foz

import (
	"fmt"
	"strconv"
	"strings"
)

const objectSuffix = ".arrow"

// ObjectPrefix is what the key of every object of records begins with. Keys sort by birth.
const ObjectPrefix = "data/"

// ObjectKey names an object of records: "data/<birth, 20 digits>/<unique>.arrow". birth is
// the highest log slot its writer had heard of, unique a ULID.
func ObjectKey(birth uint64, unique string) string {
	return fmt.Sprintf("%s%020d/%s%s", ObjectPrefix, birth, unique, objectSuffix)
}

// ParseObjectKey reads what [ObjectKey] wrote.
func ParseObjectKey(key string) (birth uint64, unique string, err error) {
	rest, prefixed := strings.CutPrefix(key, ObjectPrefix)
	digits, name, cut := strings.Cut(rest, "/")
	unique, suffixed := strings.CutSuffix(name, objectSuffix)
	if !prefixed || !cut || !suffixed || len(digits) != 20 || unique == "" {
		return 0, "", fmt.Errorf("object key %q is not data/<20 digits>/<unique>.arrow", key)
	}
	birth, err = strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("object key %q: %w", key, err)
	}
	return birth, unique, nil
}
