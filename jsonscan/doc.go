// Package jsonscan walks JSON text and gives its parts as they were written, strictly and
// without building values. It knows RFC 8259, and refuses to know what a text is about.
//
// A caller steps through what interests it, and passes the rest:
//
//	s := jsonscan.New(text)
//	more, err := s.Enter('}')
//	for more && err == nil {
//		name, _ := s.Name()
//		value, _ := s.Value(1)
//		...
//		more, err = s.Next('}')
//	}
//
// What was passed once is JSON: whoever walks it again, or a part of it, meets no errors.
package jsonscan
