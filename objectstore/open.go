package objectstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Opener opens the bucket that a URL of its scheme names.
type Opener func(ctx context.Context, u *url.URL) (Store, error)

// ErrURL marks the error of a URL that cannot name a bucket, whatever there is where it points.
var ErrURL = errors.New("no URL of a bucket")

// BadURL makes an error one that is ErrURL, and leaves its words as they are.
func BadURL(err error) error { return &urlError{err} }

type urlError struct{ err error }

func (e *urlError) Error() string        { return e.err.Error() }
func (e *urlError) Unwrap() error        { return e.err }
func (e *urlError) Is(target error) bool { return target == ErrURL }

func badURLf(format string, args ...any) error { return BadURL(fmt.Errorf(format, args...)) }

// Open opens the bucket that rawURL names:
//
//	file:///var/lib/foz   a Dir, made if it is not there. The path is absolute
//	mem://                a new Memory
//
// and those whose schemes are in more, which the caller passes because their drivers are other
// packages'. An error names the schemes there are, and never shows a password; it is ErrURL if
// rawURL is at fault.
func Open(ctx context.Context, rawURL string, more map[string]Opener) (Store, error) {
	return openURL(ctx, rawURL, OpenDir, more)
}

// OpenReadOnly opens the bucket that rawURL names to look at it. A Dir is not made, and refuses
// to be written: see OpenDirReadOnly.
func OpenReadOnly(ctx context.Context, rawURL string, more map[string]Opener) (Store, error) {
	return openURL(ctx, rawURL, OpenDirReadOnly, more)
}

func openURL(ctx context.Context, rawURL string, dir func(path string) (*Dir, error),
	more map[string]Opener) (Store, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	openers := map[string]Opener{"file": fileOpener(dir), "mem": openMemURL}
	maps.Copy(openers, more)
	open := openers[u.Scheme]
	if open == nil {
		return nil, badURLf("open bucket %s: unknown scheme %q, supported are %s",
			u.Redacted(), u.Scheme, strings.Join(slices.Sorted(maps.Keys(openers)), ", "))
	}
	return open(ctx, u)
}

// ParseURL parses the URL of a bucket, which has a scheme. Every error is ErrURL.
func ParseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's error quotes the URL, which may hold a password.
		return nil, badURLf("parse bucket URL: not a URL such as file:///var/lib/foz")
	}
	if u.Scheme == "" {
		return nil, badURLf("parse bucket URL %q: no scheme; a directory is file:///path",
			u.Redacted())
	}
	return u, nil
}

func fileOpener(dir func(path string) (*Dir, error)) Opener {
	return func(_ context.Context, u *url.URL) (Store, error) {
		if u.Host != "" && u.Host != "localhost" || u.Path == "" || u.Opaque != "" {
			return nil, badURLf("open bucket %s: want file:/// and an absolute path", u.Redacted())
		}
		if err := plain(u); err != nil {
			return nil, err
		}
		d, err := dir(u.Path)
		if err != nil {
			return nil, err // not d: a nil *Dir is no nil Store
		}
		return d, nil
	}
}

func openMemURL(_ context.Context, u *url.URL) (Store, error) {
	if u.Host != "" || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
		return nil, badURLf("open bucket %s: want mem:// and nothing else", u.Redacted())
	}
	if err := plain(u); err != nil {
		return nil, err
	}
	return NewMemory(), nil
}

// plain refuses settings that would otherwise be ignored in silence.
func plain(u *url.URL) error {
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return badURLf("open bucket %s: %s takes no user, query or fragment",
			u.Redacted(), u.Scheme)
	}
	return nil
}
