"""Plugins of libnetwork's protocols, which share no code with the engine: a driver that makes bridges and veths with
iproute2, and one that hands out addresses."""

import ipaddress

from . import networks
from .plugin_server import PluginServer


class NetworkPlugin(PluginServer):
    """A driver: `networks` and `endpoints` has what it was told to keep, by id."""

    kinds = ("NetworkDriver",)

    def __init__(self, name, scope="local"):
        super().__init__(name)
        self.scope = scope
        self.made = 0
        self.networks = {}
        self.endpoints = {}

    def __exit__(self, *args):
        for network in list(self.networks):
            networks.ip("link", "delete", _bridge(network), check=False)
        super().__exit__(*args)

    def links(self):
        """Names of what it has made on the host."""
        mine = {_bridge(network) for network in self.networks} | {f"{kind}{each[:7]}" for each in self.endpoints for kind in ("tv", "tp")}
        return mine & networks.all_links()

    def answer(self, method, request):
        name = method.removeprefix("NetworkDriver.")
        handler = getattr(self, f"_{name}", None)
        return handler(request) if handler else None

    def _GetCapabilities(self, _request):
        return {"Scope": self.scope, "ConnectivityScope": "local"}

    def _CreateNetwork(self, request):
        if "refuse" in request["Options"]["com.docker.network.generic"]:
            return {"Err": "no such networks here"}
        network = request["NetworkID"]
        self.networks[network] = request
        networks.ip("link", "add", _bridge(network), "type", "bridge")
        for pool in request["IPv4Data"] + request["IPv6Data"]:
            networks.ip("address", "add", pool["Gateway"], "dev", _bridge(network), "nodad")
        networks.ip("link", "set", _bridge(network), "up")
        return {}

    def _DeleteNetwork(self, request):
        if request["NetworkID"] not in self.networks:
            return {"Err": "no such network"}
        networks.ip("link", "delete", _bridge(request["NetworkID"]))
        del self.networks[request["NetworkID"]]
        return {}

    def _CreateEndpoint(self, request):
        if "refuse" in request["Options"]:
            return {"Err": "no such endpoints here"}
        self.endpoints[request["EndpointID"]] = request
        self.made += 1
        return {"Interface": {} if request["Interface"]["MacAddress"] else {"MacAddress": f"02:42:de:ad:be:{self.made:02x}"}}

    def _Join(self, request):
        network, endpoint = request["NetworkID"], request["EndpointID"]
        networks.ip("link", "add", f"tv{endpoint[:7]}", "type", "veth", "peer", "name", f"tp{endpoint[:7]}")
        networks.ip("link", "set", f"tv{endpoint[:7]}", "master", _bridge(network), "up")
        pools = self.networks[network]["IPv4Data"]
        options = self.networks[network]["Options"]["com.docker.network.generic"]
        if "no-gateway" in options:
            return {"InterfaceName": {"SrcName": f"tp{endpoint[:7]}", "DstPrefix": "plug"},
                    "DisableGatewayService": options["no-gateway"] == "nor-service"}
        return {"InterfaceName": {"SrcName": f"tp{endpoint[:7]}", "DstPrefix": "plug"},
                "Gateway": pools[0]["Gateway"].split("/")[0] if pools else "",
                "StaticRoutes": [{"Destination": "198.51.100.0/24", "RouteType": 1, "NextHop": ""}]}

    def _Leave(self, _request):
        return {}

    def _DeleteEndpoint(self, request):
        endpoint = request["EndpointID"]
        # Its peer is back on the host, or has gone with the container's namespace.
        networks.ip("link", "delete", f"tv{endpoint[:7]}", check=False)
        self.endpoints.pop(endpoint, None)
        return {}


class IpamPlugin(PluginServer):
    """Hands out addresses from the top of a pool down: `taken` has what is taken, by pool."""

    kinds = ("IpamDriver",)

    def __init__(self, name, pool="10.187.0.0/24"):
        super().__init__(name)
        self.pool = pool
        self.taken = {}

    def answer(self, method, request):
        name = method.removeprefix("IpamDriver.")
        handler = getattr(self, f"_{name}", None)
        return handler(request) if handler else None

    def _GetCapabilities(self, _request):
        return {"RequiresMACAddress": True}

    def _GetDefaultAddressSpaces(self, _request):
        return {"LocalDefaultAddressSpace": "here", "GlobalDefaultAddressSpace": "everywhere"}

    def _RequestPool(self, request):
        if request["Options"].get("refuse"):
            return {"Error": "no pools left"}
        pool = request["Pool"] or self.pool
        if pool in self.taken:
            return {"Error": f"{pool} is taken"}
        self.taken[pool] = set()
        return {"PoolID": pool, "Pool": pool, "Data": {}}

    def _ReleasePool(self, request):
        if self.taken.pop(request["PoolID"]):
            return {"Error": "addresses are still in use"}
        return {}

    def _RequestAddress(self, request):
        pool = ipaddress.ip_network(request["PoolID"])
        taken = self.taken[request["PoolID"]]
        wanted = request["Address"] or next(str(address) for address in reversed(list(pool.hosts())) if str(address) not in taken)
        if wanted in taken:
            return {"Error": f"{wanted} is taken"}
        taken.add(wanted)
        return {"Address": f"{wanted}/{pool.prefixlen}", "Data": {}}

    def _ReleaseAddress(self, request):
        self.taken[request["PoolID"]].remove(request["Address"])
        return {}


def _bridge(network):
    return f"tb{network[:7]}"
