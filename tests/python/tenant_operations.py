"""Operations at random on the model of tenants, each with what it must answer."""

from http_client import UNKNOWN
from tenant_faces import Refusal
from tenant_model import RANK, File, Key, Store

LEVELS = ["open", "secret"]
WORD = "harvest"


class Model:
    """Operations that change the model and say what the answer must be. Each takes its key first."""

    def __init__(self, tenants, rng):
        self.tenants, self.rng, self.serial = tenants, rng, 0

    # What an operation is about is mostly the caller's own, and sometimes somebody else's or nobody's.
    def pick(self, key, kind, prefix, alive=lambda item: True):
        tenant = key.tenant if self.rng.random() < 0.8 else self.rng.choice(self.tenants)
        known = [id for id in getattr(tenant, kind) if alive(id)]
        return self.rng.choice(known) if known and self.rng.random() < 0.95 else prefix + UNKNOWN

    def pick_store(self, key):
        return self.pick(key, "stores", "vs_")

    def pick_file(self, key):
        return self.pick(key, "files", "file-")

    def pick_inside(self, key, kind, prefix):
        """A store, and something that is in it or in another one."""
        store = self.pick_store(key)
        holders = [tenant.stores[store] for tenant in self.tenants if store in tenant.stores]
        if not holders or self.rng.random() < 0.1:
            holders = [holder for tenant in self.tenants for holder in tenant.stores.values()]
        known = [id for holder in holders for id in getattr(holder, kind)]
        return store, self.rng.choice(known) if known and self.rng.random() < 0.95 else prefix + UNKNOWN

    def words(self):
        self.serial += 1
        return f"The {WORD} of the text number{self.serial}.", self.rng.choice(LEVELS)

    def create_store(self, key):
        name = f"store {self.rng.randrange(1000)}"

        def expect(id):
            key.check("create")
            if id is not None:
                key.tenant.stores[id] = Store(name)
            return id

        return [name], expect

    def rename_store(self, key):
        store, name = self.pick_store(key), f"store {self.rng.randrange(1000)}"

        def expect(_):
            key.check("write")
            key.store(store).name = name
            return name

        return [store, name], expect

    def delete_store(self, key):
        store = self.pick_store(key)

        def expect(_):
            key.check("write")
            key.store(store)
            del key.tenant.stores[store]
            return store

        return [store], expect

    def get_store(self, key):
        store = self.pick_store(key)

        def expect(_):
            key.check("search")
            return key.store(store).name

        return [store], expect

    def list_stores(self, key):
        def expect(_):
            key.check("search")
            return [id for id in key.tenant.stores if key.stores is None or id in key.stores]

        return [], expect

    def insert(self, key):
        store, (content, level) = self.pick_store(key), self.words()

        def expect(id):
            key.check("write")
            texts = key.store(store).texts
            if id is not None:
                texts[id] = content, level
            return id

        return [store, content, level], expect

    def change_text(self, key):
        (store, text), (content, level) = self.pick_inside(key, "texts", "emb_"), self.words()

        def expect(_):
            key.check("write")
            key.text(store, text)
            key.store(store).texts[text] = content, level
            return content

        return [store, text, content, level], expect

    def delete_text(self, key):
        store, text = self.pick_inside(key, "texts", "emb_")

        def expect(_):
            key.check("write")
            key.text(store, text)
            del key.store(store).texts[text]
            return text

        return [store, text], expect

    def get_text(self, key):
        store, text = self.pick_inside(key, "texts", "emb_")

        def expect(_):
            key.check("search")
            return key.text(store, text)[0]

        return [store, text], expect

    def list_texts(self, key):
        store = self.pick_store(key)

        def expect(_):
            key.check("search")
            return {content for content, _ in key.visible(store)}

        return [store], expect

    def search(self, key):
        store, word = self.pick_store(key), self.rng.choice([WORD, None])

        def expect(_):
            key.check("search")
            seen = key.visible(store)
            levels = [level for _, level in seen]
            return {content for content, _ in seen}, {level: levels.count(level) for level in set(levels)}

        return [store, word], expect

    def upload(self, key):
        content, _ = self.words()

        def expect(id):
            key.check("write")
            if id is not None:
                key.tenant.files[id] = File(content, key.origin)
            return id

        return [content], expect

    def get_file(self, key):
        file = self.pick_file(key)

        def expect(_):
            key.check("read")
            return len(key.file(file).content)

        return [file], expect

    def read_file(self, key):
        file = self.pick_file(key)

        def expect(_):
            key.check("read")
            return key.file(file).content

        return [file], expect

    def list_files(self, key):
        def expect(_):
            key.check("read")
            return [id for id in key.tenant.files if key.sees(id)]

        return [], expect

    def delete_file(self, key):
        file = self.pick_file(key)

        def expect(_):
            key.check("write")
            # Narrowed keys delete only what they made: others may need the rest.
            if key.file(file).made_by is not key.origin and key.stores is not None:
                raise Refusal(403)
            del key.tenant.files[file]
            for store in key.tenant.stores.values():
                store.files.pop(file, None)
            return file

        return [file], expect

    def attach(self, key):
        store, file, level = self.pick_store(key), self.pick_file(key), self.rng.choice(LEVELS)
        attached = {id for tenant in self.tenants for holder in tenant.stores.values() for id in holder.files}
        if file in attached:
            return None

        def expect(_):
            key.check("write")
            files = key.store(store).files
            key.file(file)
            files[file] = level
            return file

        return [store, file, level], expect

    def get_store_file(self, key):
        store, file = self.pick_inside(key, "files", "file-")

        def expect(_):
            key.check("search")
            return {"level": key.store_file(store, file)}

        return [store, file], expect

    def store_file_content(self, key):
        store, file = self.pick_inside(key, "files", "file-")

        def expect(_):
            key.check("search")
            key.store_file(store, file)
            return key.tenant.files[file].content

        return [store, file], expect

    def list_store_files(self, key):
        store = self.pick_store(key)

        def expect(_):
            key.check("search")
            return [file for file, level in key.store(store).files.items() if key.reads(level)]

        return [store], expect

    def detach(self, key):
        store, file = self.pick_inside(key, "files", "file-")

        def expect(_):
            key.check("write")
            key.store_file(store, file)
            del key.store(store).files[file]
            return file

        return [store, file], expect

    def make_key(self, key):
        settings = {"role": self.rng.choice([*RANK])}
        if self.rng.random() < 0.4:
            settings["vector_store_ids"] = [*dict.fromkeys(self.pick_store(key) for _ in range(2))]
        if self.rng.random() < 0.3:
            settings["role"] = "read"
            settings["filter"] = {"type": "eq", "key": "level", "value": self.rng.choice(LEVELS)}

        def expect(made):
            key.check("admin")
            stores, level = settings.get("vector_store_ids"), settings.get("filter", {}).get("value")
            if not all(store in key.tenant.stores for store in stores or []):
                raise Refusal(404)
            if made is not None:
                key.tenant.keys.append(Key(*made, key.tenant, settings["role"], stores, level))
            return made

        return [settings], expect

    def other_key(self, key):
        tenant = key.tenant if self.rng.random() < 0.8 else self.rng.choice(self.tenants)
        # The first one makes all others.
        keys = [other for other in tenant.keys[1:] if not other.dead]
        return self.rng.choice(keys) if keys and self.rng.random() < 0.95 else None

    def rotate_key(self, key):
        other = self.other_key(key)

        def expect(made):
            key.check("admin")
            if other is None or other.tenant is not key.tenant:
                raise Refusal(404)
            if made is not None:
                other.dead = True
                key.tenant.keys.append(Key(*made, key.tenant, other.role, other.stores, other.level, other.origin))
            return made

        return [other.id if other else "key_" + UNKNOWN], expect

    def delete_key(self, key):
        other = self.other_key(key)

        def expect(_):
            key.check("admin")
            if other is None or other.tenant is not key.tenant:
                raise Refusal(404)
            other.dead = True
            return other.id

        return [other.id if other else "key_" + UNKNOWN], expect

    # How often each comes; what adds is rarer than what looks, and gives way to what takes away when there is much.
    WEIGHTS = {
        "create_store": 3, "rename_store": 1, "delete_store": 2, "get_store": 4, "list_stores": 6,
        "insert": 12, "change_text": 4, "delete_text": 5, "get_text": 6, "list_texts": 8, "search": 12,
        "upload": 5, "get_file": 3, "read_file": 3, "list_files": 5, "delete_file": 3,
        "attach": 6, "get_store_file": 4, "store_file_content": 3, "list_store_files": 5, "detach": 2,
        "make_key": 3, "rotate_key": 1, "delete_key": 2,
    }  # fmt: skip

    def next(self):
        """Name of an operation, its key, its arguments and what it must answer."""
        while True:
            [name] = self.rng.choices([*self.WEIGHTS], [*self.WEIGHTS.values()])
            tenant = self.rng.choice(self.tenants)
            live = [key for key in tenant.keys if not key.dead]
            key = self.rng.choice(tenant.keys if self.rng.random() < 0.03 else live)
            full = {
                "create_store": len(tenant.stores) >= 6,
                "insert": sum(len(store.texts) for store in tenant.stores.values()) >= 60,
                "upload": len(tenant.files) >= 20,
                "make_key": len(live) >= 12,
            }
            if not full.get(name) and (planned := getattr(self, name)(key)):
                return name, key, *planned
