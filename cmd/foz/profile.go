package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/client"
)

// profile is a service with what it takes to speak with it.
type profile struct {
	URL   string `json:"url"`
	Token string `json:"token,omitempty"`
	CA    string `json:"ca,omitempty"` // file
}

// profiles is the file of them.
type profiles struct {
	Current  string             `json:"current,omitempty"` // used unless --profile says another
	Profiles map[string]profile `json:"profiles"`

	path string
}

// profilesPath is where the file is; "": nowhere, this environment has no home.
func (a *app) profilesPath() string {
	dir := a.getenv("XDG_CONFIG_HOME")
	if dir == "" && a.getenv("HOME") != "" {
		dir = filepath.Join(a.getenv("HOME"), ".config")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "foz", "profiles.json")
}

// readProfiles reads the file; none is an empty one. It holds tokens: one that others may
// read is refused.
func (a *app) readProfiles() (*profiles, error) {
	p := &profiles{path: a.profilesPath(), Profiles: map[string]profile{}}
	if p.path == "" {
		return p, nil
	}
	info, err := os.Stat(p.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return p, nil
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s holds tokens and others may read it: chmod 600 it", p.path)
	}
	text, err := os.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("parse %s: %w", p.path, err)
	}
	return p, nil
}

func (p *profiles) save() error {
	if p.path == "" {
		return errors.New("there is no home for profiles: set HOME or XDG_CONFIG_HOME")
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	return replaceFile(p.path, append(text, '\n'), 0o600)
}

// find gives the profile of a name, or a usage error.
func (p *profiles) find(name string) (profile, error) {
	found, ok := p.Profiles[name]
	if !ok {
		return found, usagef("no profile is called %q; there are: %s", name,
			strings.Join(slices.Sorted(maps.Keys(p.Profiles)), ", "))
	}
	return found, nil
}

// useProfile fills in what neither flags nor variables say. A profile belongs to its URL: its
// token is not shown to another one.
func (a *app) useProfile() error {
	all, err := a.readProfiles()
	if err != nil {
		return err
	}
	name := a.profile
	if name == "" {
		name = all.Current
	}
	if name == "" {
		return nil
	}
	p, err := all.find(name)
	if err != nil {
		return err
	}
	if a.given["url"] && strings.TrimSuffix(a.url, "/") != strings.TrimSuffix(p.URL, "/") {
		return nil
	}
	a.url = p.URL
	if !a.given["token"] {
		a.token = p.Token
	}
	if !a.given["ca"] {
		a.ca = p.CA
	}
	return nil
}

func (a *app) profileCommand() *cobra.Command {
	return family("profile", "Remember services: where they are, and the token to show them",
		a.profileSet(), a.profileList(), a.profileUse(), a.profileDelete())
}

func (a *app) profileSet() *cobra.Command {
	return &cobra.Command{
		Use:   "set NAME",
		Short: "Remember --url, --token and --ca under a name",
		Long: "Remember what --url, --token and --ca (or their variables) say under a name. What\n" +
			"they do not say stays as it is. The first profile is the one that is used.",
		Example: "  FOZ_TOKEN=$(cat token) foz profile set prod --url https://foz.example:7443",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] == "" {
				return usagef("a profile has a name")
			}
			return a.changeProfiles(func(all *profiles) error {
				p, known := all.Profiles[args[0]]
				if a.given["url"] || !known {
					if _, err := client.New(client.Options{URL: a.url}); err != nil {
						return &usageError{err: err}
					}
					p.URL = cmp.Or(a.url, client.DefaultURL)
				}
				if a.given["token"] {
					p.Token = a.token
				}
				if a.given["ca"] {
					p.CA = a.ca
				}
				if p.CA != "" {
					var err error
					if p.CA, err = filepath.Abs(p.CA); err != nil {
						return err
					}
				}
				all.Profiles[args[0]] = p
				if len(all.Profiles) == 1 {
					all.Current = args[0]
				}
				return nil
			})
		},
	}
}

func (a *app) changeProfiles(change func(*profiles) error) error {
	all, err := a.readProfiles()
	if err != nil {
		return err
	}
	if err := change(all); err != nil {
		return err
	}
	return all.save()
}

// profileLine is a profile as it is listed: without its token.
type profileLine struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	URL     string `json:"url"`
	Token   bool   `json:"token"` // there is one
	CA      string `json:"ca"`
}

func (a *app) profileList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the profiles, without their tokens",
		Example: "  foz profile list", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.readProfiles()
			if err != nil {
				return err
			}
			lines := []profileLine{}
			for _, name := range slices.Sorted(maps.Keys(all.Profiles)) {
				p := all.Profiles[name]
				lines = append(lines, profileLine{name, name != "" && name == all.Current, p.URL,
					p.Token != "", p.CA})
			}
			return a.show(map[string]any{"profiles": lines}, func(out *table) {
				out.row("NAME", "USED", "URL", "TOKEN", "CA")
				for _, l := range lines {
					out.row(l.Name, l.Current, l.URL, l.Token, l.CA)
				}
			})
		},
	}
}

func (a *app) profileUse() *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Use a profile from now on",
		Example: "  foz profile use prod", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeProfiles(func(all *profiles) error {
				_, err := all.find(args[0])
				all.Current = args[0]
				return err
			})
		},
	}
}

func (a *app) profileDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a profile and its token",
		Example: "  foz profile delete old", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeProfiles(func(all *profiles) error {
				_, err := all.find(args[0])
				delete(all.Profiles, args[0])
				if all.Current == args[0] {
					all.Current = ""
				}
				return err
			})
		},
	}
}
