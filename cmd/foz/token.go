package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/httpapi"
)

func (a *app) tokenCommand() *cobra.Command {
	return family("token", "Make tokens for foz serve --tokens", a.tokenCreate())
}

// newToken are the flags of `foz token create`.
type newToken struct {
	name    string
	grants  []string
	expires span
	san     string
	file    string
}

func (a *app) tokenCreate() *cobra.Command {
	var s newToken
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token, and the entry of the tokens file that knows it",
		Long: "Make a token of 256 random bits, and the entry of the tokens file that knows it.\n" +
			"The token is printed to stdout, once: the entry has a hash of it. Without --tokens\n" +
			"the entry goes to stderr for you to add; with it, into the file, which nodes read\n" +
			"within seconds. To revoke a token, delete its entry.\n\n" +
			"A grant is verbs (read, produce, admin: none implies another), a colon, and a topic\n" +
			"or the beginning of topics and a *.",
		Example: "  foz token create --name shipper --grant 'read,produce:events-*' --expires 30d " +
			"--tokens tokens.json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.createToken(s) },
	}
	f := cmd.Flags()
	f.StringVar(&s.name, "name", "", "who has the token, for logs and errors")
	f.StringArrayVar(&s.grants, "grant", nil, "what it may do: verb,...:topics (more than once)")
	f.Var(&s.expires, "expires", "for how long it holds (0: for ever)")
	f.StringVar(&s.san, "san", "", "no token: know a client certificate by this name in it")
	f.StringVar(&s.file, "tokens", "", "the tokens file to add the entry to; made if it is not there")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("grant") // without one it may do nothing
	return cmd
}

func (a *app) createToken(s newToken) error {
	entry := httpapi.Credential{Name: s.name, SAN: s.san, Grants: []httpapi.Grant{}}
	for _, text := range s.grants {
		g, err := parseGrant(text)
		if err != nil {
			return usagef("--grant %q: %w", text, err)
		}
		entry.Grants = append(entry.Grants, g)
	}
	if s.expires > 0 {
		at := time.Now().Add(time.Duration(s.expires)).UTC().Truncate(time.Second)
		entry.Expires = &at
	}
	token := ""
	if s.san == "" {
		token, entry.SHA256 = httpapi.NewToken()
	}
	if _, err := appendEntry(nil, entry); err != nil {
		return &usageError{err: err}
	}
	if s.file != "" {
		if err := addEntry(s.file, entry); err != nil {
			return err
		}
	}
	return a.showToken(token, entry, s.file)
}

func parseGrant(text string) (httpapi.Grant, error) {
	verbs, topics, ok := strings.Cut(text, ":")
	if !ok {
		return httpapi.Grant{}, errors.New("want verb,...:topics")
	}
	g := httpapi.Grant{Topics: topics}
	for v := range strings.SplitSeq(verbs, ",") {
		g.Verbs = append(g.Verbs, httpapi.Verb(strings.TrimSpace(v)))
	}
	return g, g.Check()
}

func (a *app) showToken(token string, entry httpapi.Credential, file string) error {
	if a.output != "table" {
		return a.show(map[string]any{"token": token, "entry": entry}, nil)
	}
	if token != "" {
		if _, err := fmt.Fprintln(a.out, token); err != nil {
			return err
		}
	}
	if file != "" {
		a.say("the entry of %s is in %s", entry.Name, file)
		return nil
	}
	text, err := json.Marshal(entry)
	a.say("add to \"tokens\" in the tokens file, {\"tokens\":[...]}:\n%s", text)
	return err
}

// appendEntry gives a tokens file with one more entry.
func appendEntry(file []byte, entry httpapi.Credential) ([]byte, error) {
	var list []httpapi.Credential
	if len(bytes.TrimSpace(file)) > 0 {
		var err error
		if list, err = httpapi.ParseCredentials(file); err != nil {
			return nil, err
		}
	}
	text, err := json.MarshalIndent(map[string]any{"tokens": append(list, entry)}, "", "  ")
	if err != nil {
		return nil, err
	}
	_, err = httpapi.ParseCredentials(text)
	return append(text, '\n'), err
}

func addEntry(name string, entry httpapi.Credential) error {
	file, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if file, err = appendEntry(file, entry); err != nil {
		return fmt.Errorf("add to %s: %w", name, err)
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm() // nodes may run as somebody else
	}
	return replaceFile(name, file, mode)
}

// replaceFile puts a file in the place of another, at once: who reads it sees the old or the
// new one. A link is followed.
func replaceFile(name string, data []byte, mode fs.FileMode) (err error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".foz-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	// A crash here leaves the old file, and a temporary one beside it.
	return os.Rename(f.Name(), name)
}
