// Publishes what `flux push artifact` publishes, by the same package of Flux: the Flux
// command itself has all of Flux's kinds in it, which takes minutes to build.
//
//	fluxpush URL PATH tarball|static [EXTENSION]
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/fluxcd/pkg/oci"
	"github.com/google/go-containerregistry/pkg/crane"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 4 {
		log.Fatal("usage: fluxpush URL PATH tarball|static [EXTENSION]")
	}
	options := []oci.PushOption{
		oci.WithPushLayerType(oci.LayerType(os.Args[3])),
		oci.WithPushMetadata(oci.Metadata{
			Source:   "https://example.com/acme/app.git",
			Revision: "main@sha1:0000000000000000000000000000000000000001",
		}),
	}
	if len(os.Args) > 4 {
		options = append(options, oci.WithPushMediaTypeExt(os.Args[4]))
	}
	client := oci.NewClient([]crane.Option{crane.Insecure})
	digest, err := client.Push(context.Background(), os.Args[1], os.Args[2], options...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(digest)
}
