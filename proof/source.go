package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
)

// Folder reads a log that was exported as files, such as os.DirFS("log").
func Folder(fsys fs.FS) Source { return folder{fsys} }

type folder struct{ fsys fs.FS }

func (f folder) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := f.fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readBounded(file, path)
}

// Web reads a log served over HTTP below base, such as
// https://example.kr/log. The client decides about timeouts; nil stands for
// http.DefaultClient.
func Web(client *http.Client, base string) Source {
	if client == nil {
		client = http.DefaultClient
	}
	return web{client, strings.TrimSuffix(base, "/") + "/"}
}

type web struct {
	client *http.Client
	base   string
}

func (w web) ReadFile(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("log at %s: %w", w.base, err)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("log at %s: %w", w.base, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return readBounded(resp.Body, w.base+path)
	case http.StatusNotFound, http.StatusGone:
		return nil, &fs.PathError{Op: "get", Path: w.base + path, Err: fs.ErrNotExist}
	}
	return nil, fmt.Errorf("get %s: the server answers %s", w.base+path, resp.Status)
}

// readBounded reads no more than the longest file a log can have.
func readBounded(r io.Reader, path string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, bundleBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > bundleBytesMax {
		return nil, fmt.Errorf("read %s: %w", path, errLong)
	}
	return data, nil
}

var errLong = errors.New("longer than any file of a log")
