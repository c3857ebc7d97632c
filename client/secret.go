package client

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is text that does not show itself: printed, logged or marshalled it is "(secret)".
// string(s) is what it holds.
type Secret string

const redacted = "(secret)"

// String hides the secret.
func (Secret) String() string { return redacted }

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText hides the secret from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
