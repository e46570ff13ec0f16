"""A model of who may see what: tenants, their stores, texts, files and keys."""

from dataclasses import dataclass, field

from tenant_faces import Refusal

RANK = {"read": 0, "write": 1, "admin": 2}


@dataclass
class Store:
    name: str
    # Content and level of each text, and level of each attached file.
    texts: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)


@dataclass
class File:
    content: str
    made_by: object


@dataclass
class Key:
    id: str
    secret: str
    tenant: object
    role: str
    stores: list = None
    level: str = None
    # The first of those that took each other's place.
    first: object = None
    dead: bool = False

    @property
    def origin(self):
        return self.first or self

    def check(self, access):
        """What a call needs of its key, whatever it is about."""
        if self.dead:
            raise Refusal(401)
        if self.level and access != "search" or self.stores is not None and access in ("create", "admin"):
            raise Refusal(403)
        needed = {"search": "read", "create": "write"}.get(access, access)
        if RANK[self.role] < RANK[needed]:
            raise Refusal(403)

    def store(self, store):
        if store not in self.tenant.stores or self.stores is not None and store not in self.stores:
            raise Refusal(404)
        return self.tenant.stores[store]

    def sees(self, id):
        file = self.tenant.files.get(id)
        if file is None or self.stores is None:
            return file is not None
        inside = [self.tenant.stores[store] for store in self.stores if store in self.tenant.stores]
        return file.made_by is self.origin or any(id in store.files for store in inside)

    def file(self, id):
        if not self.sees(id):
            raise Refusal(404)
        return self.tenant.files[id]

    def reads(self, level):
        return self.level is None or self.level == level

    def text(self, store, text):
        found = self.store(store).texts.get(text)
        if found is None or not self.reads(found[1]):
            raise Refusal(404)
        return found

    def store_file(self, store, file):
        level = self.store(store).files.get(file)
        if level is None or not self.reads(level):
            raise Refusal(404)
        return level

    def visible(self, store):
        """All texts of a store with their levels, those of files included."""
        store = self.store(store)
        texts = [*store.texts.values()]
        texts += [(self.tenant.files[file].content, level) for file, level in store.files.items()]
        return [text for text in texts if self.reads(text[1])]


@dataclass
class Tenant:
    stores: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    keys: list = field(default_factory=list)
