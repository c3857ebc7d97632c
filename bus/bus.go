// Package bus knows how nodes of one cluster talk: publish and subscribe, request and serve.
// It is the only place that knows NATS. It refuses to know what is said: messages are bytes,
// and no message is ever needed for safety. Anything may be lost, late, doubled or reordered;
// all that must survive is in the bucket.
//
// There are two implementations with the same four methods: [NATS], which embeds a server in
// this process or dials an external one, and [Memory], whose [Hub] lets a test or a simulator
// decide the fate of every single message. Callers declare the methods they need; the suite
// in bustest says what both must do.
//
// # What both promise
//
// A subscription's handler is called for one message at a time, in the order of arrival.
// A subscriber that falls behind loses messages. Requests to one subject are answered at the
// same time as each other, by at most [AnswersMax] goroutines for each Serve; beyond that the
// requester is told [ErrOverloaded]. When several serve one subject, one of them is asked.
// Messages belong to all who get them: keep them, do not change them.
package bus

import (
	"errors"
	"fmt"
)

// What went wrong. Any other error of Request, a deadline among them, means that the outcome
// is unknown: the responder may have acted, or may still act.
var (
	// ErrNoResponder: nobody serves the subject, as far as this node can see.
	ErrNoResponder = errors.New("no responder")
	// ErrTooLarge: the message, or the answer to it, is over PayloadBytesMax, or over what an
	// external server takes. A request that is itself too large was not sent.
	ErrTooLarge = errors.New("message too large")
	// ErrClosed: the connection was closed, or not started.
	ErrClosed = errors.New("bus closed")
	// ErrOverloaded: the responder has AnswersMax requests in hand and did not look at this
	// one.
	ErrOverloaded = errors.New("responder overloaded")
	// ErrSubject: the subject is malformed (an empty token, a space, a wildcard where there
	// may be none). Nothing was sent.
	ErrSubject = errors.New("invalid subject")
)

const (
	// PayloadBytesMax bounds one message, in bytes.
	PayloadBytesMax = 8 << 20
	// AnswersMax bounds the requests one Serve answers at the same time.
	AnswersMax = 256
	// PendingMax bounds the messages that wait for one subscription's handler; later ones
	// are lost.
	PendingMax = 1 << 16
)

// checkSubject takes dot-separated tokens of printable ASCII; "*" stands for one token and a
// last ">" for all that follow, where wild allows it.
func checkSubject(subject string, wild bool) error {
	start := 0
	for i := 0; i <= len(subject); i++ {
		if i < len(subject) && subject[i] != '.' {
			if subject[i] <= ' ' || subject[i] > '~' {
				return fmt.Errorf("%w: %q", ErrSubject, subject)
			}
			continue
		}
		token := subject[start:i]
		isWild := token == "*" || token == ">" && i == len(subject)
		if token == "" || token == ">" && i < len(subject) || isWild && !wild {
			return fmt.Errorf("%w: %q", ErrSubject, subject)
		}
		start = i + 1
	}
	return nil
}

// matches says whether a subject without wildcards is one of those a pattern stands for.
func matches(pattern, subject string) bool {
	for {
		p, restP, moreP := cutToken(pattern)
		s, restS, moreS := cutToken(subject)
		switch {
		case p == ">":
			return true
		case p != "*" && p != s, moreP != moreS:
			return false
		case !moreP:
			return true
		}
		pattern, subject = restP, restS
	}
}

func cutToken(s string) (token, rest string, more bool) {
	for i := range len(s) {
		if s[i] == '.' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
