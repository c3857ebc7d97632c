package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fozlog/foz"
)

// tree is an object whose members keep their order in JSON.
type tree []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order.
func (t tree) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range t {
		if i > 0 {
			out.WriteByte(',')
		}
		name, _ := json.Marshal(m.name)
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// protoTree is a message for people: its members that are set, by number; ids as UUIDs, other
// bytes in hexadecimal, numbers as numbers.
func protoTree(m protoreflect.Message) tree {
	t := tree{}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if m.Has(f) {
			t = append(t, member{string(f.Name()), protoValue(f, m.Get(f))})
		}
	}
	return t
}

func protoValue(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch {
	case f.IsMap():
		members := map[string]any{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			members[k.String()] = protoScalar(f.MapValue(), v)
			return true
		})
		return members
	case f.IsList():
		elements := make([]any, v.List().Len())
		for i := range elements {
			elements[i] = protoScalar(f, v.List().Get(i))
		}
		return elements
	}
	return protoScalar(f, v)
}

func protoScalar(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return messageTree(v.Message())
	case protoreflect.BytesKind:
		if b := v.Bytes(); f.Name() == "nonce" || len(b) != len(foz.TopicID{}) {
			return hex.EncodeToString(b)
		}
		return foz.TopicID(v.Bytes()).String()
	}
	return v.Interface()
}
