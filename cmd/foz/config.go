package main

import (
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configFlag is the flag of the commands that can be told their flags by a file: YAML, a flag's
// name and its value a line.
const configFlag = "config"

// useConfig gives every flag that neither the command line nor the environment set what the
// file of --config says, if there is one. A key that is no flag of the command is refused: a
// word that is misspelt must not become a default.
func useConfig(cmd *cobra.Command) error {
	path := cmd.Flags().Lookup(configFlag)
	if path == nil || path.Value.String() == "" {
		return nil
	}
	file := path.Value.String()
	values, err := readConfig(file)
	if err != nil {
		return fmt.Errorf("--%s: %w", configFlag, err)
	}
	flags := cmd.LocalNonPersistentFlags()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		f := flags.Lookup(key)
		if f == nil || key == configFlag || key == "help" {
			return fmt.Errorf("%s: %q is no flag of %s", file, key, cmd.CommandPath())
		}
		text, err := configured(f, values[key])
		if err == nil && !f.Changed {
			err = cmd.Flags().Set(key, text)
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", file, key, err)
		}
	}
	return nil
}

func readConfig(file string) (map[string]any, error) {
	contents, err := readAll([]string{file})
	if err != nil {
		return nil, err
	}
	k := koanf.New("/")
	if err := k.Load(rawbytes.Provider(contents[0]), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return k.Raw(), nil
}

// configured is a value of a file as a command line would give it to the flag.
func configured(f *pflag.Flag, value any) (text string, err error) {
	kind := f.Value.Type()
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		if kind == "bool" {
			return fmt.Sprint(v), nil
		}
	case int:
		if kind != "bool" && kind != "string" && kind != "stringSlice" {
			return fmt.Sprint(v), nil
		}
	case []any:
		if kind == "stringSlice" {
			return joined(v)
		}
	}
	return "", fmt.Errorf("want %s, is %v", wanted(kind), value)
}

// joined is a list as a flag takes it: separated by commas, quoted where it must be.
func joined(list []any) (string, error) {
	items := make([]string, len(list))
	for i, item := range list {
		var ok bool
		if items[i], ok = item.(string); !ok {
			return "", fmt.Errorf("want a list of strings, has %v", item)
		}
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write(items); err != nil {
		return "", err
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n"), w.Error()
}

// wanted tells a person what a kind of flag takes.
func wanted(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "stringSlice":
		return "a list of strings"
	case "string":
		return "a string (in quotes, if it looks like something else)"
	}
	return "a " + kind
}
