package main

// How: scripts under testdata/segment run the commands that look into a bucket without a
// service. The buckets hold the merged objects of package segment's golden files.

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestSegmentScripts(t *testing.T) {
	golden := filepath.Join("..", "..", "segment", "testdata")
	testscript.Run(t, testscript.Params{
		Dir:  filepath.Join("testdata", "segment"),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"flip": flip},
		Setup: func(env *testscript.Env) error {
			dir := filepath.Join(env.WorkDir, "bucket")
			env.Setenv("FOZ_DATA_DIR", dir)
			for variable, name := range map[string]string{
				"OWN": "bucket/own", "SHARED": "bucket/shared", "TYPED": "typed/typed",
			} {
				folder, name := filepath.Split(name)
				key := "data/00000000000000000001/" + name + ".arrow"
				env.Setenv(variable, key)
				version := "v1"
				if name == "typed" {
					version = "v2"
				}
				object, err := os.ReadFile(filepath.Join(golden, "l1-"+version+"-"+name+".arrow"))
				if err != nil {
					return err
				}
				path := filepath.Join(env.WorkDir, folder, key)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(path, object, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	})
}
