// The mutation of a validator's StatefulSet as Go operators write it: controller-runtime's webhook server, a typed
// object, and a Defaulter whose changes the library turns into a patch. Only the load test of benches/load runs it.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	knownPeers = "KNOWN_PEERS"
	configMap  = "stellar-peers"
	portName   = "peer"
	peerPort   = 11625
	annotation = "stellar.org/peer-port"
)

// peers adds what a validator's StatefulSet lacks.
type peers struct{}

func (peers) Default(_ context.Context, set *appsv1.StatefulSet) error {
	if set.Labels["app.kubernetes.io/name"] != "stellar-node" || set.Labels["app.kubernetes.io/component"] != "validator" {
		return nil
	}
	core := coreContainer(set.Spec.Template.Spec.Containers)
	if core == nil {
		return nil
	}
	if _, annotated := set.Annotations[annotation]; !annotated {
		if set.Annotations == nil {
			set.Annotations = map[string]string{}
		}
		set.Annotations[annotation] = strconv.Itoa(peerPort)
	}
	if !slices.ContainsFunc(core.Env, func(env corev1.EnvVar) bool { return env.Name == knownPeers }) {
		optional := true
		core.Env = append(core.Env, corev1.EnvVar{
			Name: knownPeers,
			ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: configMap},
				Key:                  knownPeers,
				Optional:             &optional,
			}},
		})
	}
	if !slices.ContainsFunc(core.Ports, func(port corev1.ContainerPort) bool { return port.ContainerPort == peerPort }) {
		core.Ports = append(core.Ports, corev1.ContainerPort{Name: portName, ContainerPort: peerPort, Protocol: corev1.ProtocolTCP})
	}
	return nil
}

// coreContainer returns the container with a usual name, or else the only one.
func coreContainer(containers []corev1.Container) *corev1.Container {
	for _, name := range []string{"stellar-core", "core", "stellar-node"} {
		for i := range containers {
			if containers[i].Name == name {
				return &containers[i]
			}
		}
	}
	if len(containers) == 1 {
		return &containers[0]
	}
	return nil
}

func serve(port int, certificates string) error {
	log.SetLogger(zap.New())
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		return err
	}
	// As in kubebuilder's scaffold.
	disableHTTP2 := func(config *tls.Config) { config.NextProtos = []string{"http/1.1"} }
	server := webhook.NewServer(webhook.Options{
		Host:    "127.0.0.1",
		Port:    port,
		CertDir: certificates,
		TLSOpts: []func(*tls.Config){disableHTTP2},
	})
	server.Register("/mutate", admission.WithDefaulter[*appsv1.StatefulSet](scheme, peers{}))
	// It ends with its parent, which holds the other end of its standard input.
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return server.Start(ctx)
}

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1")
	certificates := flag.String("certificates", "", "directory with tls.crt and tls.key")
	flag.Parse()
	if err := serve(*port, *certificates); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
