package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Stored names a stored blob.
type Stored struct {
	Digest unit.Digest `json:"digest"`
	Size   unit.Bytes  `json:"size"`
}

// StoredTree names a stored tree.
type StoredTree struct {
	Tree  unit.Digest `json:"tree"`
	Files int64       `json:"files"`
	Size  unit.Bytes  `json:"size" doc:"of all files together"`
}

// ModelOutput is the name under which a signed model's files are read.
const ModelOutput = "release"

// artifactRoutes take artifacts in by content and give them out by what they
// belong to: whoever may read the job or model may read its files, and a
// digest alone opens nothing.
func (s *Server) artifactRoutes() {
	s.putBlob()
	type newTree struct{ Body artifact.Tree }
	type storedTree struct{ Body StoredTree }
	huma.Register(s.api, huma.Operation{OperationID: "put-tree", Method: http.MethodPost, Path: Prefix + "/trees",
		Summary: "Name a folder of blobs that are in the store"},
		func(ctx context.Context, in *newTree) (*storedTree, error) {
			stored, err := s.putTree(ctx, in.Body)
			if err != nil {
				return nil, s.problem(err)
			}
			return &storedTree{stored}, nil
		})
	s.files("output", "/jobs/{id}/outputs/{name}", "of one output of a job", func(state *centre.State, may readable, id, name string) (unit.Digest, error) {
		j, err := jobOf(state, may, id)
		if err != nil {
			return "", err
		}
		at := slices.IndexFunc(j.Outputs, func(o job.Output) bool { return o.Name == name })
		if at < 0 {
			return "", &party.FieldError{Field: "name", Problem: fmt.Sprintf("job %s has no output %q", id, name)}
		}
		return j.Outputs[at].Tree, nil
	})
	s.files("model", "/models/{id}/outputs/{name}", "of a signed model: its output is called release", func(state *centre.State, may readable, id, name string) (unit.Digest, error) {
		m, ok := state.Models.Models.Get(model.ID(id))
		switch {
		case !ok || !may("Model", id, m.Org):
			return "", unknown("model", id)
		case m.State != model.Signed:
			return "", &model.UnsignedError{Model: model.ID(id), State: m.State}
		case name != ModelOutput:
			return "", &party.FieldError{Field: "name", Problem: fmt.Sprintf("a model has no output %q, only %q", name, ModelOutput)}
		}
		return m.Release, nil
	})
}

// putBlob streams: a corpus may be larger than memory.
func (s *Server) putBlob() {
	op := huma.Operation{OperationID: "put-blob", Method: http.MethodPut, Path: Prefix + "/blobs", Summary: "Store bytes; the answer names them",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}},
		Responses: map[string]*huma.Response{"200": {Description: "Its name and size"}}}
	s.api.OpenAPI().AddOperation(&op)
	s.api.Adapter().Handle(&op, s.api.Middlewares().Handler(func(ctx huma.Context) {
		digest, size, err := s.Store.Put(ctx.Context(), ctx.BodyReader())
		if err != nil {
			s.fail(ctx, s.problem(err).(*Problem))
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		if err := writeJSON(ctx.BodyWriter(), Stored{digest, size}); err != nil {
			s.Log.Debug("answer not sent", "err", err)
		}
	}))
}

// putTree stores the listing once every blob it names is here, with the size
// it says.
func (s *Server) putTree(ctx context.Context, tree artifact.Tree) (StoredTree, error) {
	stored := StoredTree{Files: int64(len(tree.Files))}
	for i, file := range tree.Files {
		if _, err := unit.ParseDigest(string(file.Digest)); err != nil {
			return stored, &party.FieldError{Field: fmt.Sprintf("files[%d].digest", i), Problem: err.Error()}
		}
		size, err := s.Store.Size(ctx, file.Digest)
		if err != nil {
			return stored, err
		}
		if size != file.Size {
			return stored, &party.FieldError{Field: fmt.Sprintf("files[%d].size", i), Problem: fmt.Sprintf("%d, but %s has %d bytes", file.Size, file.Digest, size)}
		}
		stored.Size += size
	}
	var err error
	stored.Tree, err = artifact.PutTreeOf(ctx, s.Store, tree)
	return stored, err
}

// checkedDataset fills in what the store knows better than the caller.
func (s *Server) checkedDataset(ctx context.Context, d dataset.Dataset) (centre.Command, error) {
	if _, err := unit.ParseDigest(string(d.Tree)); err != nil {
		return nil, &party.FieldError{Field: "tree", Problem: err.Error()}
	}
	tree, err := artifact.ReadTree(ctx, s.Store, d.Tree)
	if err != nil {
		return nil, err
	}
	d.Files, d.Size = int64(len(tree.Files)), 0
	for _, file := range tree.Files {
		d.Size += file.Size
	}
	return centre.RegisterDataset{Dataset: d}, nil
}

// files registers a listing of a tree and a way to read each file of it.
func (s *Server) files(id, path, what string, find func(state *centre.State, may readable, id, name string) (unit.Digest, error)) {
	type input struct {
		ID   string `path:"id"`
		Name string `path:"name"`
	}
	type output struct{ Body artifact.Tree }
	huma.Register(s.api, huma.Operation{OperationID: "list-" + id + "-files", Method: http.MethodGet, Path: Prefix + path + "/files",
		Summary: "The files " + what},
		func(ctx context.Context, in *input) (*output, error) {
			tree, err := s.tree(ctx, in.ID, in.Name, find)
			if err != nil {
				return nil, s.problem(err)
			}
			return &output{tree}, nil
		})
	type fileInput struct {
		ID   string `path:"id"`
		Name string `path:"name"`
		Path string `query:"path" required:"true"`
	}
	huma.Register(s.api, huma.Operation{OperationID: "read-" + id + "-file", Method: http.MethodGet, Path: Prefix + path + "/file",
		Summary: "One file " + what},
		func(ctx context.Context, in *fileInput) (*huma.StreamResponse, error) {
			tree, err := s.tree(ctx, in.ID, in.Name, find)
			if err != nil {
				return nil, s.problem(err)
			}
			at := slices.IndexFunc(tree.Files, func(f artifact.File) bool { return f.Path == in.Path })
			if at < 0 {
				return nil, s.problem(&party.FieldError{Field: "path", Problem: fmt.Sprintf("there is no file %q here", in.Path)})
			}
			blob, err := s.Store.Open(ctx, tree.Files[at].Digest)
			if err != nil {
				return nil, s.problem(err)
			}
			return s.stream(blob, fmt.Sprint(int64(tree.Files[at].Size))), nil
		})
}

func (s *Server) tree(ctx context.Context, id, name string, find func(*centre.State, readable, string, string) (unit.Digest, error)) (artifact.Tree, error) {
	state := s.Writer.State()
	digest, err := find(state, s.readable(ctx, state), id, name)
	if err != nil {
		return artifact.Tree{}, err
	}
	return artifact.ReadTree(ctx, s.Store, digest)
}

// stream sends what r yields. A fault in the middle breaks the connection off:
// half an answer must not look like a whole one.
func (s *Server) stream(r io.ReadCloser, length string) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer r.Close()
		ctx.SetHeader("Content-Type", "application/octet-stream")
		ctx.SetHeader("X-Content-Type-Options", "nosniff")
		if length != "" {
			ctx.SetHeader("Content-Length", length)
		}
		if _, err := io.Copy(ctx.BodyWriter(), r); err != nil {
			s.Log.Error("answer broken off", "err", err)
			panic(http.ErrAbortHandler)
		}
	}}
}

// Upload stores a file, or a folder with all below it, and returns its tree.
// Progress is told the bytes sent so far.
func Upload(ctx context.Context, c *Client, root string, progress func(done, total int64)) (StoredTree, error) {
	paths, total, err := uploadList(root)
	if err != nil {
		return StoredTree{}, err
	}
	tree, done := artifact.Tree{Format: artifact.TreeFormat}, int64(0)
	for _, path := range paths {
		stored, err := uploadFile(ctx, c, path, func(n int) {
			done += int64(n)
			progress(done, total)
		})
		if err != nil {
			return StoredTree{}, fmt.Errorf("upload %s: %w", path, err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			name = filepath.Base(path)
		}
		tree.Files = append(tree.Files, artifact.File{Path: filepath.ToSlash(name), Digest: stored.Digest, Size: stored.Size})
	}
	var made StoredTree
	err = c.post(ctx, "/trees", tree, &made)
	return made, err
}

// uploadList finds the regular files below root, in order.
func uploadList(root string) (paths []string, total int64, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file\nhint: upload a folder of plain files", path)
		}
		info, err := entry.Info()
		if err == nil {
			paths, total = append(paths, path), total+info.Size()
		}
		return err
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s holds no files\nhint: name a file or a folder with files in it", root)
	}
	return paths, total, err
}

func uploadFile(ctx context.Context, c *Client, path string, sent func(int)) (Stored, error) {
	file, err := os.Open(path)
	if err != nil {
		return Stored{}, err
	}
	defer file.Close()
	return c.PutBlob(ctx, countedReader{file, sent})
}

type countedReader struct {
	io.Reader
	sent func(int)
}

func (r countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.sent(n)
	return n, err
}

// Download writes the files listed below path into dir, checking each against
// its digest; what is there already with the right digest is not fetched again.
func Download(ctx context.Context, c *Client, path, dir string, progress func(done, total int64)) (artifact.Tree, error) {
	var tree artifact.Tree
	if err := c.Get(ctx, path+"/files", &tree); err != nil {
		return tree, err
	}
	done, total := int64(0), int64(tree.Size())
	for _, file := range tree.Files {
		if err := artifact.CheckPath(file.Path); err != nil {
			return tree, err // a centre must not write outside of dir
		}
		to := filepath.Join(dir, filepath.FromSlash(file.Path))
		if err := download(ctx, c, path, file, to); err != nil {
			return tree, fmt.Errorf("download %s: %w", file.Path, err)
		}
		done += int64(file.Size)
		progress(done, total)
	}
	return tree, nil
}

func download(ctx context.Context, c *Client, path string, file artifact.File, to string) error {
	if found, err := digestOf(to); err == nil && found == file.Digest {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	stream, err := c.Stream(ctx, path+"/file?path="+url.QueryEscape(file.Path))
	if err != nil {
		return err
	}
	defer stream.Close()
	temp, err := os.CreateTemp(filepath.Dir(to), ".download-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone once renamed
	hash := sha256.New()
	// One byte more than was said is enough to know: a centre that never ends
	// must not fill the disk.
	_, err = io.Copy(io.MultiWriter(temp, hash), io.LimitReader(stream, int64(file.Size)+1))
	if err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if found := unit.NewDigest([sha256.Size]byte(hash.Sum(nil))); found != file.Digest {
		return &artifact.CorruptError{Digest: file.Digest, Found: found}
	}
	return os.Rename(temp.Name(), to)
}

func digestOf(path string) (unit.Digest, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return unit.NewDigest([sha256.Size]byte(hash.Sum(nil))), nil
}
