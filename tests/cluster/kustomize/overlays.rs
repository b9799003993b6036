//! Overlays in the shapes that people write, for the comparison with kubectl.

/// An overlay.
pub struct Overlay {
    /// What is in it.
    pub name: &'static str,
    /// The directory that is built.
    pub path: &'static str,
    /// The files.
    pub files: &'static [(&'static str, &'static str)],
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: nginx:1.25
        env:
        - name: MODE
          value: base
        envFrom:
        - configMapRef: {name: settings}
        ports:
        - containerPort: 8080
        volumeMounts:
        - {name: certs, mountPath: /certs}
      volumes:
      - name: certs
        secret: {secretName: certs}
";

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
";

const ACCOUNT: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
";

const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: web.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {name: http}}}
";

const BINDING: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
- {kind: ServiceAccount, name: web, namespace: default}
";

const SCALER: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 5
";

const DEFINITION: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: caches.example.com}
spec:
  group: example.com
  names: {kind: Cache, plural: caches}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const CACHE: &str = "\
apiVersion: example.com/v1
kind: Cache
metadata: {name: main}
spec:
  image: redis:6
  configFrom: {name: settings}
";

const DATABASE: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: postgres:15}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

const JOB: &str = "\
apiVersion: batch/v1
kind: CronJob
metadata: {name: backup}
spec:
  schedule: \"0 3 * * *\"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: backup, image: backup:1, args: [\"--all\"]}
";

/// All of them.
pub const OVERLAYS: &[Overlay] = &[
    Overlay {
        name: "base alone",
        path: "base",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
        ],
    },
    Overlay {
        name: "namespace, prefix and suffix",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "namespace: shop\nnamePrefix: eu-\nnameSuffix: -v2\nresources: [../base]\n",
            ),
        ],
    },
    Overlay {
        name: "labels in selectors",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\nlabels:\n- pairs: {tier: front}\n  includeSelectors: true\n- pairs: {owner: team}\n  includeTemplates: true\n",
            ),
        ],
    },
    Overlay {
        name: "deprecated common labels",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\ncommonLabels: {tier: front}\ncommonAnnotations: {note: 'yes'}\n",
            ),
        ],
    },
    Overlay {
        name: "deprecated bases and patches",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            ("prod/kustomization.yaml", "bases: [../base]\npatchesStrategicMerge:\n- replicas.yaml\n"),
            (
                "prod/replicas.yaml",
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n",
            ),
        ],
    },
    Overlay {
        name: "images and replicas",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\nimages:\n- {name: nginx, newName: registry.example.com/nginx, digest: 'sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3'}\nreplicas:\n- {name: web, count: 4}\n",
            ),
        ],
    },
    Overlay {
        name: "generators with hashes",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\nconfigMapGenerator:\n- name: settings\n  files: [app.conf, renamed=app.conf]\n  literals: [level=debug, 'text=a b']\n  envs: [app.env]\nsecretGenerator:\n- name: certs\n  type: kubernetes.io/tls\n  files: [tls.crt, tls.key]\n",
            ),
            ("prod/app.conf", "a = 1\n"),
            ("prod/app.env", "ONE=1\n# a comment\nTWO=2\n"),
            ("prod/tls.crt", "cert"),
            ("prod/tls.key", "key"),
        ],
    },
    Overlay {
        name: "generator options",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\ngeneratorOptions: {disableNameSuffixHash: true, labels: {generated: 'yes'}, annotations: {by: kustomize}}\nconfigMapGenerator:\n- {name: settings, literals: [a=b]}\n- name: other\n  literals: [c=d]\n  options: {immutable: true}\n",
            ),
        ],
    },
    Overlay {
        name: "a generator that merges into its base",
        path: "prod",
        files: &[
            (
                "base/kustomization.yaml",
                "configMapGenerator:\n- {name: settings, literals: [a=1, b=2]}\nresources: [deployment.yaml]\n",
            ),
            ("base/deployment.yaml", DEPLOYMENT),
            (
                "prod/kustomization.yaml",
                "namePrefix: eu-\nresources: [../base]\nconfigMapGenerator:\n- {name: settings, behavior: merge, literals: [b=3, c=4]}\n",
            ),
        ],
    },
    Overlay {
        name: "JSON patches with targets",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\npatches:\n- path: p.yaml\n  target: {kind: Deployment, labelSelector: app=web}\n- patch: '[{\"op\": \"replace\", \"path\": \"/spec/ports/0/port\", \"value\": 8081}]'\n  target: {version: v1, kind: Service}\n",
            ),
            (
                "prod/p.yaml",
                "- op: add\n  path: /spec/template/spec/containers/0/args\n  value: [--debug]\n- op: remove\n  path: /spec/template/spec/volumes\n",
            ),
        ],
    },
    Overlay {
        name: "strategic patches of lists",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\npatches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec:\n      template:\n        spec:\n          containers:\n          - {name: sidecar, image: envoy}\n          - name: web\n            env:\n            - {name: MODE, $patch: delete}\n            - {name: MORE, value: 'yes'}\n",
            ),
        ],
    },
    Overlay {
        name: "a patch that deletes",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\npatches:\n- patch: |-\n    $patch: delete\n    apiVersion: v1\n    kind: Service\n    metadata: {name: web}\n",
            ),
        ],
    },
    Overlay {
        name: "components",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\ncomponents: [../components/tls, ../components/scale]\n",
            ),
            (
                "components/tls/kustomization.yaml",
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nsecretGenerator:\n- {name: certs, literals: [a=b]}\n",
            ),
            (
                "components/scale/kustomization.yaml",
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [hpa.yaml]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: remove, path: /spec/replicas}\n",
            ),
            ("components/scale/hpa.yaml", SCALER),
        ],
    },
    Overlay {
        name: "replacements",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base, source.yaml]\nreplacements:\n- source: {kind: ConfigMap, name: source, fieldPath: data.image}\n  targets:\n  - select: {kind: Deployment}\n    fieldPaths: ['spec.template.spec.containers.[name=web].image']\n- path: host.yaml\n",
            ),
            (
                "prod/source.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: source}\ndata: {image: 'nginx:9', name: shop}\n",
            ),
            (
                "prod/host.yaml",
                "source: {kind: ConfigMap, name: source, fieldPath: data.name}\ntargets:\n- select: {kind: Service}\n  fieldPaths: [metadata.labels.shop]\n  options: {create: true}\n",
            ),
        ],
    },
    Overlay {
        name: "vars",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\nvars:\n- name: SERVICE\n  objref: {apiVersion: v1, kind: Service, name: web}\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - op: add\n      path: /spec/template/spec/containers/0/args\n      value: ['--to=$(SERVICE)']\n",
            ),
        ],
    },
    Overlay {
        name: "references follow names",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "namePrefix: eu-\nnamespace: shop\nresources: [../base, ingress.yaml, hpa.yaml, binding.yaml]\n",
            ),
            ("prod/ingress.yaml", INGRESS),
            ("prod/hpa.yaml", SCALER),
            ("prod/binding.yaml", BINDING),
        ],
    },
    Overlay {
        name: "a base above two levels",
        path: "teams/eu/prod",
        files: &[
            (
                "shared/base/kustomization.yaml",
                "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n",
            ),
            ("shared/base/deployment.yaml", DEPLOYMENT),
            ("shared/base/service.yaml", SERVICE),
            ("shared/base/account.yaml", ACCOUNT),
            (
                "teams/eu/prod/kustomization.yaml",
                "resources: [../../../shared/base, ../../common]\nnameSuffix: -eu\n",
            ),
            ("teams/common/kustomization.yaml", "resources: [map.yaml]\n"),
            (
                "teams/common/map.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: common}\ndata: {a: '1'}\n",
            ),
        ],
    },
    Overlay {
        name: "files of another directory",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base/service.yaml]\nconfigMapGenerator:\n- name: a\n  files: [../shared/a.txt]\n",
            ),
            ("shared/a.txt", "a\n"),
        ],
    },
    Overlay {
        name: "two variants of one base",
        path: "all",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            ("blue/kustomization.yaml", "namePrefix: blue-\nresources: [../base]\n"),
            (
                "green/kustomization.yml",
                "namePrefix: green-\nresources: [../base]\nimages: [{name: nginx, newTag: '2'}]\n",
            ),
            ("all/Kustomization", "resources: [../blue, ../green]\nlabels: [{pairs: {all: 'yes'}}]\n"),
        ],
    },
    Overlay {
        name: "custom resources with a configuration",
        path: "prod",
        files: &[
            (
                "prod/kustomization.yaml",
                "namePrefix: eu-\nresources: [crd.yaml, cache.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\nconfigurations: [names.yaml]\nimages: [{name: redis, newTag: '7'}]\n",
            ),
            ("prod/crd.yaml", DEFINITION),
            ("prod/cache.yaml", CACHE),
            (
                "prod/names.yaml",
                "nameReference:\n- kind: ConfigMap\n  version: v1\n  fieldSpecs:\n  - {kind: Cache, path: spec/configFrom/name}\nimages:\n- {kind: Cache, path: spec/image}\n",
            ),
        ],
    },
    Overlay {
        name: "a schema of its own",
        path: "prod",
        files: &[
            (
                "prod/kustomization.yaml",
                "resources: [cache.yaml]\nopenapi: {path: schema.json}\npatches:\n- patch: |-\n    apiVersion: example.com/v1\n    kind: Cache\n    metadata: {name: main}\n    spec: {image: 'redis:8'}\n",
            ),
            ("prod/cache.yaml", CACHE),
            (
                "prod/schema.json",
                "{\"definitions\": {\"v1.Cache\": {\"type\": \"object\", \"properties\": {\"spec\": {\"type\": \"object\"}}, \"x-kubernetes-group-version-kind\": [{\"group\": \"example.com\", \"kind\": \"Cache\", \"version\": \"v1\"}]}}}",
            ),
        ],
    },
    Overlay {
        name: "builtin transformers and generators",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\ngenerators: [generator.yaml]\ntransformers:\n- prefix.yaml\n- |-\n  apiVersion: builtin\n  kind: AnnotationsTransformer\n  metadata: {name: notes}\n  annotations: {note: inline}\n  fieldSpecs: [{path: metadata/annotations, create: true}]\n",
            ),
            (
                "prod/generator.yaml",
                "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: generated}\nliterals: [a=b]\n",
            ),
            (
                "prod/prefix.yaml",
                "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: prefix}\nprefix: tr-\nfieldSpecs: [{path: metadata/name}]\n",
            ),
        ],
    },
    Overlay {
        name: "transformers in a directory",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            ("prod/kustomization.yaml", "resources: [../base]\ntransformers: [../transformers]\n"),
            ("transformers/kustomization.yaml", "resources: [labels.yaml]\n"),
            (
                "transformers/labels.yaml",
                "apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: labels}\nlabels: {via: transformer}\nfieldSpecs: [{path: metadata/labels, create: true}]\n",
            ),
        ],
    },
    Overlay {
        name: "anchors and merge keys",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: &x [../base]\nlabels:\n- pairs: &l {a: b}\n- pairs: {<<: *l, c: d}\n",
            ),
        ],
    },
    Overlay {
        name: "stateful sets and volumes",
        path: "prod",
        files: &[
            (
                "prod/kustomization.yaml",
                "namespace: data\nresources: [db.yaml]\nlabels: [{pairs: {tier: data}, includeSelectors: true}]\nimages: [{name: postgres, newTag: '16'}]\npatches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: StatefulSet\n    metadata: {name: db}\n    spec:\n      template:\n        spec:\n          containers:\n          - {name: db, resources: {limits: {memory: 1Gi}}}\n",
            ),
            ("prod/db.yaml", DATABASE),
        ],
    },
    Overlay {
        name: "cron jobs",
        path: "prod",
        files: &[
            (
                "prod/kustomization.yaml",
                "nameSuffix: -eu\nresources: [job.yaml]\nimages: [{name: backup, newTag: '2'}]\npatches:\n- target: {kind: CronJob}\n  patch: |-\n    - {op: replace, path: /spec/schedule, value: '0 4 * * *'}\n",
            ),
            ("prod/job.yaml", JOB),
        ],
    },
    Overlay {
        name: "many documents in one file, and JSON",
        path: "prod",
        files: &[
            ("prod/kustomization.yaml", "resources: [all.yaml, map.json]\n"),
            (
                "prod/all.yaml",
                "# first\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector: {app: web}\n  ports:\n  - {name: http, port: 80, targetPort: 8080}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---\n\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  labels: {app: web}\nspec:\n  replicas: 1\n  selector:\n    matchLabels: {app: web}\n  template:\n    metadata:\n      labels: {app: web}\n    spec:\n      serviceAccountName: web\n      containers:\n      - name: web\n        image: nginx:1.25\n        env:\n        - name: MODE\n          value: base\n        envFrom:\n        - configMapRef: {name: settings}\n        ports:\n        - containerPort: 8080\n        volumeMounts:\n        - {name: certs, mountPath: /certs}\n      volumes:\n      - name: certs\n        secret: {secretName: certs}\n",
            ),
            (
                "prod/map.json",
                "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"map\"}, \"data\": {\"a\": \"1\"}}",
            ),
        ],
    },
    Overlay {
        name: "a list of objects",
        path: "prod",
        files: &[
            ("prod/kustomization.yaml", "namePrefix: l-\nresources: [list.yaml]\n"),
            (
                "prod/list.yaml",
                "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n",
            ),
        ],
    },
    Overlay {
        name: "order of the output",
        path: "prod",
        files: &[
            ("base/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n- account.yaml\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
            ("base/account.yaml", ACCOUNT),
            (
                "prod/kustomization.yaml",
                "resources: [../base, ns.yaml, crd.yaml]\nsortOptions: {order: legacy}\n",
            ),
            ("prod/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"),
            ("prod/crd.yaml", DEFINITION),
        ],
    },
    Overlay {
        name: "build metadata and strange values",
        path: "prod",
        files: &[
            (
                "prod/kustomization.yaml",
                "resources: [map.yaml]\nbuildMetadata: [originAnnotations, managedByLabel]\n",
            ),
            (
                "prod/map.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map\n  annotations: {quoted: \"yes\", number: \"1e3\"}\ndata:\n  script: |\n    #!/bin/sh\n    echo ${HOME}\n  octal: \"0777\"\n  empty: \"\"\n  long: >-\n    one\n    two\n",
            ),
        ],
    },
];
