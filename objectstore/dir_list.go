//go:build unix && !aix && !solaris

package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// List is Store.List. No Delete, of any process, runs while a page is read.
func (d *Dir) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]Info, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	if err := ValidatePrefix(prefix); err != nil {
		return nil, false, err
	}
	limit = pageLimit(limit)
	l := listing{ctx: ctx, root: d.root.fd, prefix: prefix, after: startAfter, want: limit + 1}
	unlock, err := d.lock(ctx, unix.LOCK_SH)
	if err == nil {
		err = l.walk(prefix[:strings.LastIndexByte(prefix, '/')+1])
		unlock()
	}
	if err == nil {
		err = d.settleAll(l.unsettled)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	return l.page[:min(limit, len(l.page))], len(l.page) > limit, nil
}

// settleAll makes durable what a page shows and nobody has yet made durable.
func (d *Dir) settleAll(keys []string) error {
	seen := ""
	for _, key := range keys {
		if name := path.Dir(key); name != seen {
			if err := d.settle(key); err != nil {
				return err
			}
			seen = name
		}
	}
	return nil
}

// listing walks a bucket in the order of whole keys until it has want objects.
type listing struct {
	ctx       context.Context
	root      int
	prefix    string
	after     string
	want      int
	page      []Info
	unsettled []string // keys of the page whose files have a second link
}

// walk lists one directory: "", or a name with its slash. Of its entries, directories sort
// with their slash: "a-b", which is less than "a/c", comes before the directory "a".
func (l *listing) walk(dir string) error {
	if dir < l.after && !strings.HasPrefix(l.after, dir) {
		return nil // all of it lies before
	}
	for last, more := "", true; more; {
		var entries []string
		var err error
		if entries, more, err = l.entries(dir, last); err != nil {
			return err
		}
		for _, entry := range entries {
			if strings.HasSuffix(entry, "/") {
				err = l.walk(dir + entry)
			} else {
				err = l.add(dir + entry)
			}
			if err != nil || len(l.page) >= l.want {
				return err
			}
			last = entry
		}
	}
	return nil
}

// entries reads a whole directory and returns the least of the entries that come after last
// and can be, or hold, a key to list: as many as are wanted, or all if there are no more.
func (l *listing) entries(dir, last string) (least []string, more bool, err error) {
	if err := l.ctx.Err(); err != nil {
		return nil, false, err
	}
	file, err := l.openDir(dir)
	if file == nil || err != nil {
		return nil, false, err
	}
	defer file.Close()
	prefix, after := l.below(dir)
	want := max(l.want-len(l.page), 64)
	for bound := ""; err == nil; {
		var some []os.DirEntry
		some, err = file.ReadDir(1024)
		for _, entry := range some {
			name := entryName(entry)
			if name <= last || bound != "" && name >= bound || !fits(name, prefix, after) {
				continue
			}
			if least = append(least, name); len(least) == 2*want {
				slices.Sort(least)
				least, more = least[:want], true
				bound = least[want-1]
			}
		}
	}
	// ENOENT: the directory went away as it became empty, so it holds nothing that was there
	// when the listing began, because no Delete has run since.
	if err != io.EOF && !errors.Is(err, unix.ENOENT) {
		return nil, false, err
	}
	slices.Sort(least)
	if len(least) > want {
		least, more = least[:want], true
	}
	return least, more, nil
}

// fits says whether an entry can be, or hold, a key with the prefix and after the other.
func fits(name, prefix, after string) bool {
	folder := strings.HasSuffix(name, "/")
	if !strings.HasPrefix(name, prefix) {
		return false
	}
	if name <= after && !(folder && strings.HasPrefix(after, name)) {
		return false
	}
	return segmentFault(strings.TrimSuffix(name, "/")) == ""
}

// openDir returns nil for a directory that is not there.
func (l *listing) openDir(dir string) (*os.File, error) {
	file, err := openAt(l.root, "./"+dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return nil, nil
	}
	return file, err
}

// below is what prefix and after mean for the names in dir, which is not before after.
func (l *listing) below(dir string) (prefix, after string) {
	if len(l.prefix) > len(dir) {
		prefix = l.prefix[len(dir):]
	}
	if rest, ok := strings.CutPrefix(l.after, dir); ok {
		return prefix, rest
	}
	return prefix, ""
}

// entryName is a file's name, a directory's with a slash, and "" for anything else.
func entryName(entry os.DirEntry) string {
	switch {
	case entry.Type().IsRegular():
		return entry.Name()
	case entry.IsDir():
		return entry.Name() + "/"
	}
	return ""
}

func (l *listing) add(key string) error {
	var st unix.Stat_t
	err := again(func() error {
		return unix.Fstatat(l.root, key, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat %s: %w", key, err)
	}
	if st.Nlink > 1 {
		l.unsettled = append(l.unsettled, key)
	}
	l.page = append(l.page, Info{Key: key, Size: st.Size})
	return nil
}
