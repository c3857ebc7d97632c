package infra

// How: no container engine, no systemd and no Prometheus is needed. YAML is decoded strictly
// into just what these files may say, so that a misspelled key is an error; units are read line
// by line. What they say is compared with each other and with the source: flags exist, ports
// and names meet, versions are those that the other files pin.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, name)))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// submatch finds the one group of a pattern.
func submatch(t *testing.T, text []byte, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(text)
	if m == nil {
		t.Fatalf("nothing matches %s", pattern)
	}
	return string(m[1])
}

// flags are those of foz serve, as its source declares them.
func flags(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`\.(?:\w*Var|\w*VarP)\(&\w\.\w+(?:\.\w+)?, "([a-z-]+)"`)
	known := map[string]bool{}
	for _, name := range []string{"serve", "door", "bus", "compact"} {
		for _, m := range declared.FindAllSubmatch(read(t, "../cmd/foz/"+name+".go"), -1) {
			known[string(m[1])] = true
		}
	}
	if !known["bucket"] || !known["insecure"] || len(known) < 12 {
		t.Fatalf("the source of foz serve declares %v", known)
	}
	return known
}

// flagOf is the flag that an environment variable stands for.
func flagOf(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "FOZ_"), "_", "-"))
}

type build struct{ Context, Dockerfile string }

type service struct {
	Image           string
	Build           build
	Command         []string
	Environment     map[string]string
	DependsOn       []string `yaml:"depends_on"`
	Ports, Volumes  []string
	Restart         string
	StopGracePeriod string `yaml:"stop_grace_period"`
	ReadOnly        bool   `yaml:"read_only"`
	Tmpfs           []string
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	Healthcheck     struct {
		Test        []string
		Interval    string
		Timeout     string
		StartPeriod string `yaml:"start_period"`
	}
}

type compose struct {
	Name     string
	Foz      service `yaml:"x-foz"`
	Services map[string]service
	Volumes  map[string]struct{}
}

var nodes = []string{"foz-1", "foz-2", "foz-3"}

func TestComposeNodes(t *testing.T) {
	var c compose
	readYAML(t, "compose.yaml", &c)
	known := flags(t)
	for i, name := range nodes {
		s := c.Services[name]
		port := fmt.Sprint(7080 + i)
		command := []string{"serve", "--advertise", "http://127.0.0.1:" + port}
		if !slices.Equal(s.Command, command) ||
			!slices.Equal(s.Ports, []string{"127.0.0.1:" + port + ":7080"}) {
			t.Errorf("%s: command %v, ports %v", name, s.Command, s.Ports)
		}
		for variable := range s.Environment {
			if strings.HasPrefix(variable, "FOZ_") && !known[flagOf(variable)] {
				t.Errorf("%s: foz serve has no flag for %s", name, variable)
			}
		}
		if s.Environment["FOZ_BUS_ROUTES"] != "nats://"+strings.Join(nodes, ":6222,nats://")+":6222" ||
			s.Environment["FOZ_BUS_CLUSTER"] != "0.0.0.0:6222" {
			t.Errorf("%s: the bus is %v", name, s.Environment)
		}
		if s.Environment["FOZ_HTTP"] != "0.0.0.0:7080" || s.Healthcheck.Test[1] != "/foz" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestCompose: every container is confined, pinned, and reached by this machine only; what it
// refers to is there.
func TestCompose(t *testing.T) {
	var c compose
	readYAML(t, "compose.yaml", &c)
	if len(c.Services) != len(nodes)+2 {
		t.Errorf("services: %v", c.Services)
	}
	for name, s := range c.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
			!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s is not confined: %+v", name, s)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to others", name, p)
			}
		}
		for _, other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			_, named := c.Volumes[source]
			if _, err := os.Stat(source); !named && err != nil {
				t.Errorf("%s: volume %s: %v", name, v, err)
			}
		}
		if s.Build == (build{}) {
			pinned(t, name, s.Image)
		} else if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func pinned(t *testing.T, where, image string) {
	t.Helper()
	_, tag, _ := strings.Cut(image, ":")
	if tag == "" || tag == "latest" {
		t.Errorf("%s: image %s is not pinned", where, image)
	}
}

func TestPrometheus(t *testing.T) {
	var c struct {
		Global struct {
			ScrapeInterval string `yaml:"scrape_interval"`
		}
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			StaticConfigs []struct {
				Targets []string
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "prometheus.yml", &c)
	want := []string{"foz-1:7080", "foz-2:7080", "foz-3:7080"}
	if len(c.ScrapeConfigs) != 1 || len(c.ScrapeConfigs[0].StaticConfigs) != 1 ||
		!slices.Equal(c.ScrapeConfigs[0].StaticConfigs[0].Targets, want) {
		t.Errorf("prometheus.yml scrapes %+v, not %v", c.ScrapeConfigs, want)
	}
}

// TestImages: two stages, the second without a shell and without root, and it starts what the
// first has built.
func TestImages(t *testing.T) {
	gomod := submatch(t, read(t, "../go.mod"), `(?m)^go (\d+\.\d+)`)
	for name, binary := range map[string]string{"Dockerfile": "/foz", "minio.Dockerfile": "/minio"} {
		text := read(t, name)
		froms := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(string(text), -1)
		if len(froms) != 2 || froms[0][1] != "golang:"+gomod+"-bookworm" ||
			froms[1][1] != "gcr.io/distroless/static-debian12:nonroot" {
			t.Errorf("%s: stages %v", name, froms)
		}
		for _, line := range []string{"ENV CGO_ENABLED=0", "USER 65532:65532"} {
			if !strings.Contains(string(text), "\n"+line+"\n") {
				t.Errorf("%s: no line %s", name, line)
			}
		}
		var entry []string
		err := json.Unmarshal([]byte(submatch(t, text, `(?m)^ENTRYPOINT (.*)$`)), &entry)
		if err != nil || !slices.Equal(entry, []string{binary}) {
			t.Errorf("%s: entry point %v (%v)", name, entry, err)
		}
		built := submatch(t, text, `(?m)^COPY --from=build (\S+) `+binary+`$`)
		if !strings.Contains(string(text), "-o "+built+" ./cmd/foz") && built != "/go/bin/minio" {
			t.Errorf("%s: nothing builds %s", name, built)
		}
	}
	version := submatch(t, read(t, "../localdev/with-minio"), `(?m)^VERSION=(\S+)`)
	if !bytes.Contains(read(t, "minio.Dockerfile"), []byte("minio@"+version+" ")) {
		t.Errorf("minio.Dockerfile is not at %s, as localdev/with-minio", version)
	}
}

// TestBuildContext: what the image is built of has every folder that the binary imports.
func TestBuildContext(t *testing.T) {
	ignore := string(read(t, "Dockerfile.dockerignore"))
	imports := regexp.MustCompile(`"github\.com/fozlog/foz/(\w+)`)
	needed := map[string]bool{"go.mod": true, "go.sum": true, "*.go": true, "cmd": true}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") {
			return err
		}
		room := strings.Split(filepath.ToSlash(path), "/")[1]
		if !strings.Contains(ignore, "\n!"+room+"\n") {
			return nil // not in the context: needed only if another imports it
		}
		for _, m := range imports.FindAllSubmatch(read(t, path), -1) {
			needed[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range needed {
		if !strings.Contains(ignore, "\n!"+name+"\n") {
			t.Errorf("the binary needs %s, which Dockerfile.dockerignore leaves out", name)
		}
	}
}

// TestUnit: each line is in its section, and the settings that confine the node are there.
func TestUnit(t *testing.T) {
	settings := map[string][]string{}
	section := ""
	for i, line := range strings.Split(string(read(t, "foz.service")), "\n") {
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line
		case !ok || section == "" || !regexp.MustCompile(`^[A-Z][A-Za-z]+$`).MatchString(key):
			t.Errorf("line %d: %q", i+1, line)
		default:
			settings[section+key] = append(settings[section+key], value)
		}
	}
	for key, want := range map[string]string{
		"[Service]ExecStart": "/usr/local/bin/foz serve", "[Service]User": "foz",
		"[Service]EnvironmentFile": "/etc/foz/foz.env", "[Service]Restart": "always",
		"[Service]NoNewPrivileges": "yes", "[Service]CapabilityBoundingSet": "",
		"[Service]ProtectSystem": "strict", "[Service]ProtectHome": "yes",
		"[Service]PrivateTmp": "yes", "[Service]PrivateDevices": "yes",
		"[Service]MemoryDenyWriteExecute": "yes", "[Service]RestrictNamespaces": "yes",
		"[Service]RestrictAddressFamilies": "AF_INET AF_INET6",
		"[Install]WantedBy":                "multi-user.target",
	} {
		if got := settings[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	known := flags(t)
	for _, line := range strings.Split(strings.TrimSpace(string(read(t, "foz.env.example"))), "\n") {
		name, _, ok := strings.Cut(line, "=")
		if line[0] != '#' && (!ok || !strings.HasPrefix(name, "FOZ_") || !known[flagOf(name)]) {
			t.Errorf("foz.env.example: %q sets no flag of foz serve", line)
		}
	}
}
