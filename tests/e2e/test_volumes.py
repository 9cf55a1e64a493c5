"""Volumes: what containers find in them, who may remove them, and that nothing is left mounted."""

import json
import os

import pytest
from pouchtest import procs
from pouchtest.pouchd import Pouchd
from pouchtest.volume_plugin import VolumePlugin

pytest_plugins = ["pouchtest.fixtures"]


def mounts_below(path):
    """Mount points of this host that begin with the path."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return [line.split()[4] for line in table if line.split()[4].startswith(str(path))]


@pytest.fixture(scope="module")
def pouchd(busybox_tar):
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        # An image with files below a VOLUME: owners, modes, links that lead out, a hard link, an attribute.
        daemon.docker("run", "--name", "seed", "busybox", "sh", "-c", " && ".join([
            "mkdir -p /data/sub", "echo one >/data/file", "chown 12:34 /data/file", "chmod 4750 /data/file",
            "ln -s /etc/passwd /data/out", "ln /data/file /data/same", "mkfifo /data/pipe",
            "echo deep >/data/sub/deep", "chown 1000:1000 /data", "chmod 1777 /data", "ln -s data /link",
            "touch -d 2001-02-03 /data/sub/deep"]))
        daemon.docker("commit", "--change", "VOLUME /data", "seed", "seeded")
        daemon.docker("rm", "seed")
        yield daemon
        assert not [place for place in mounts_below(daemon.dir) if "/volumes/" in place or "/mounts/" in place]


@pytest.fixture
def docker(pouchd):
    yield pouchd.docker
    ids = pouchd.docker("ps", "--all", "--quiet").lines
    if ids:
        pouchd.docker("rm", "--force", "--volumes", *ids)
    names = pouchd.docker("volume", "ls", "--quiet").lines
    if names:
        pouchd.docker("volume", "rm", *names)


def inspect(docker, name):
    return json.loads(docker("inspect", "--type", "container", name).out)[0]


def mounts_of(docker, name):
    return {mount["Destination"]: mount for mount in inspect(docker, name)["Mounts"]}


def volume(docker, name):
    return json.loads(docker("volume", "inspect", name).out)[0]


def volumes(docker, *args):
    return docker("volume", "ls", "--quiet", *args).lines


def test_life(docker, pouchd):
    assert docker("volume", "create", "--label", "a=b", "vol1").out == "vol1\n"
    assert docker("volume", "create", "vol1").out == "vol1\n"
    shown = volume(docker, "vol1")
    assert shown["Driver"] == "local" and shown["Scope"] == "local" and shown["Labels"] == {"a": "b"}
    assert shown["Options"] is None and shown["Mountpoint"].endswith("/volumes/vol1/_data")
    assert os.stat(shown["Mountpoint"]).st_mode & 0o777 == 0o755
    docker("run", "--name", "c1", "--volume", "vol1:/x", "busybox", "sh", "-c", "echo hello >/x/f")
    assert docker("run", "--rm", "-v", "vol1:/y:ro", "busybox", "sh", "-c", "cat /y/f; touch /y/g", check=False).out == "hello\n"
    assert docker("run", "--rm", "--mount", "type=volume,src=vol1,dst=/y", "busybox", "cat", "/y/f").out == "hello\n"
    mount = mounts_of(docker, "c1")["/x"]
    assert (mount["Type"], mount["Name"], mount["Driver"], mount["RW"], mount["Propagation"]) == (
        "volume", "vol1", "local", True, "")
    assert mount["Source"] == shown["Mountpoint"]
    identity = inspect(docker, "c1")["Id"]
    busy = docker("volume", "rm", "vol1", check=False)
    assert busy.code == 1 and f"remove vol1: volume is in use - [{identity}]" in busy.err
    assert volumes(docker, "--filter", "dangling=true") == []
    assert docker("ps", "--all", "--filter", "volume=vol1", "--format", "{{.Names}}").lines == ["c1"]
    docker("rm", "-v", "c1")
    assert volumes(docker, "--filter", "dangling=true", "--filter", "label=a=b") == ["vol1"]
    docker("volume", "rm", "vol1")
    assert not os.path.exists(os.path.dirname(shown["Mountpoint"]))
    assert "get vol1: no such volume" in docker("volume", "rm", "vol1", check=False).err
    docker("volume", "rm", "--force", "vol1")


def create(pouchd, **host):
    """Without the CLI, which pulls the image when anything is not found."""
    status, _, answer = pouchd.request("POST", "/v1.50/containers/create", json.dumps({"Image": "busybox", "HostConfig": host}),
                                       {"Content-Type": "application/json"})
    return status, json.loads(answer)["message"]


def test_bad_volumes(docker, pouchd):
    for args, words in [
            (["volume", "create", "a/b"], "includes invalid characters for a local volume name"),
            (["volume", "create", "a"], "volume name is too short"),
            (["volume", "create", "--driver", "nosuch", "vol1"], 'create vol1: error looking up volume plugin nosuch: plugin "nosuch" not found'),
            (["volume", "create", "--opt", "colour=red", "vol1"], 'invalid option: "colour"'),
            (["volume", "create", "--opt", "type=tmpfs", "vol1"], 'missing required option: "device"'),
            (["volume", "create", "--opt", "size=1m", "vol1"], "quota size requested but no quota support"),
            (["volume", "ls", "--filter", "dangling=perhaps"], "Invalid filter"),
            (["create", "--volumes-from", "nosuch", "busybox"], "No such container: nosuch"),
            (["create", "--volume", "vol1:/x:rslave", "busybox"], "invalid volume specification"),
            (["create", "--volume", "vol1:/x", "--volume", "vol2:/x", "busybox"], "Duplicate mount point: /x")]:
        refused = docker(*args, check=False)
        assert refused.code != 0 and words in refused.err, (args, refused.err)
    assert create(pouchd, VolumeDriver="nosuch", Binds=["vol1:/x"]) == (
        404, 'create vol1: error looking up volume plugin nosuch: plugin "nosuch" not found')
    assert volumes(docker) == []


def test_files_of_the_image_come_into_an_empty_volume(docker):
    look = "cd /data && stat -c '%n %u:%g %a %F %h' . file out same pipe sub && cat file sub/deep && readlink out && stat -c %Y sub/deep"
    expected = docker("run", "--rm", "--mount", "type=tmpfs,dst=/none", "--volume", "/data", "seeded", "sh", "-c", look).out
    assert ". 1000:1000 1777 directory" in expected and "file 12:34 4750 regular file 2" in expected
    assert "out 0:0 777 symbolic link" in expected and "/etc/passwd" in expected and "pipe 0:0 644 fifo" in expected
    assert volumes(docker) == []
    assert docker("run", "--rm", "--volume", "vol1:/data", "seeded", "sh", "-c", look).out == expected
    # Already full: another image's files stay away, as what was removed does.
    docker("run", "--rm", "--volume", "vol1:/data", "seeded", "rm", "/data/file")
    assert docker("run", "--rm", "--volume", "vol1:/data", "seeded", "ls", "/data").out.split() == ["out", "pipe", "same", "sub"]
    for flags in (["--volume", "vol2:/data:nocopy"], ["--mount", "type=volume,src=vol3,dst=/data,volume-nocopy"]):
        assert docker("run", "--rm", *flags, "seeded", "ls", "-A", "/data").out == ""
    assert docker("run", "--rm", "--volume", "vol4:/link", "seeded", "ls", "/link").out.split() == [
        "file", "out", "pipe", "same", "sub"]
    refused = docker("create", "--volume", "/etc/passwd", "seeded", check=False)
    assert "cannot mount volume over existing file" in refused.err
    # While another container runs with it, files come into the folder that that one sees.
    docker("run", "--detach", "--name", "other", "--volume", "vol5:/d", "busybox", "sleep", "1000")
    docker("create", "--volume", "vol5:/data", "seeded")
    assert docker("exec", "other", "cat", "/d/same", "/d/sub/deep").out == "one\ndeep\n"
    assert docker("exec", "other", "stat", "-c", "%u %a %h", "/d/file").out == "12 4750 2\n"


def test_anonymous_volumes_end_with_their_container_when_that_is_asked_for(docker):
    docker("run", "--name", "c1", "--volume", "/more", "seeded", "sh", "-c", "echo x >/more/x")
    mounts = mounts_of(docker, "c1")
    names = sorted(mount["Name"] for mount in mounts.values())
    assert sorted(mounts) == ["/data", "/more"] and all(len(name) == 64 for name in names)
    assert volume(docker, names[0])["Labels"] == {"com.docker.volume.anonymous": ""}
    docker("create", "--name", "c2", "--volumes-from", "c1:ro", "busybox", "cat", "/more/x", "/data/same")
    assert docker("start", "--attach", "c2").out == "x\none\n"
    assert not mounts_of(docker, "c2")["/more"]["RW"]
    docker("rm", "--volumes", "c1")
    assert sorted(volumes(docker)) == names  # c2 has them, too
    docker("rm", "c2")
    assert sorted(volumes(docker)) == names
    assert "Total reclaimed space: " in docker("volume", "prune", "--force").out
    assert volumes(docker) == []
    docker("create", "--name", "c3", "seeded")
    docker("rm", "--volumes", "c3")
    docker("run", "--rm", "seeded", "true")
    docker("run", "--rm", "seeded", "/nosuch", check=False)
    assert volumes(docker) == []


def test_prune(docker):
    docker("volume", "create", "--label", "keep", "named1")
    docker("volume", "create", "named2")
    name = docker("volume", "create").out.strip()
    with open(volume(docker, name)["Mountpoint"] + "/f", "wb") as file:
        file.write(b"x" * 1000)
    pruned = docker("volume", "prune", "--force").out
    assert name in pruned and "named" not in pruned and "1kB" in pruned
    docker("volume", "prune", "--force", "--all", "--filter", "label!=keep")
    assert volumes(docker) == ["named1"]


def test_volumes_from_and_what_wins(docker, tmp_path):
    (tmp_path / "host").write_text("of the host")
    docker("create", "--name", "c1", "-v", "vol1:/a", "-v", f"{tmp_path}:/b:ro", "--tmpfs", "/t",
           "--mount", "type=tmpfs,dst=/c", "-v", "/own", "busybox")
    docker("create", "--name", "c2", "--volumes-from", "c1", "-v", "vol2:/a", "busybox", "sh", "-c",
           "cat /b/host; touch /b/x; touch /c/x /own/x; grep -c ' /c tmpfs' /proc/mounts; test -e /t || echo none")
    mounts = mounts_of(docker, "c2")
    assert mounts["/a"]["Name"] == "vol2" and mounts["/own"]["Name"] == mounts_of(docker, "c1")["/own"]["Name"]
    assert mounts["/b"]["Type"] == "bind" and not mounts["/b"]["RW"] and "/t" not in mounts
    ran = docker("start", "--attach", "c2", check=False)
    assert ran.out == "of the host1\nnone\n" and "Read-only file system" in ran.err
    docker("rm", "c1")
    assert volumes(docker, "--filter", "name=vol") == ["vol1", "vol2"]


def test_mounted_volumes_live_as_long_as_their_containers_run(docker, pouchd, tmp_path):
    (tmp_path / "f").write_text("x")
    docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=64k,uid=7,noexec", "vol1")
    docker("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind,ro", "vol2")
    places = [volume(docker, name)["Mountpoint"] for name in ("vol1", "vol2")]
    docker("run", "--detach", "--name", "c1", "-v", "vol1:/v1", "-v", "vol2:/v2", "busybox", "sleep", "1000")
    assert mounts_below(places[0]) == [places[0]] and mounts_below(places[1]) == [places[1]]
    docker("run", "--rm", "-v", "vol1:/v", "busybox", "sh", "-c", "stat -c %u /v; touch /v/shared")
    assert docker("exec", "c1", "sh", "-c", "ls /v1; cat /v2/f; touch /v2/x || grep -o 'size=64k' /proc/mounts").out == "shared\nxsize=64k\n"
    docker("rm", "--force", "c1")
    assert procs.wait_until(lambda: not mounts_below(os.path.dirname(os.path.dirname(places[0]))), 10)
    docker("volume", "create", "-o", "type=none", "-o", "device=/nosuch/folder", "-o", "o=bind", "vol3")
    refused = docker("run", "--rm", "-v", "vol3:/v:nocopy", "busybox", "true", check=False)
    assert refused.code == 125 and "failed to mount local volume" in refused.err
    assert (tmp_path / "f").exists()


def test_subpaths_do_not_lead_out(docker, pouchd):
    docker("run", "--rm", "-v", "vol1:/v", "busybox", "sh", "-c",
           "mkdir -p /v/a/b; echo in >/v/a/b/f; ln -s /etc /v/out; ln -s a/b /v/in; ln -s ../../../../etc /v/up")
    def run(subpath, *command):
        return docker("run", "--rm", "--mount", f"type=volume,src=vol1,dst=/s,volume-subpath={subpath}", "busybox",
                      *command, check=False)
    assert run("a/b", "cat", "/s/f").out == "in\n"
    assert run("in", "cat", "/s/f").out == "in\n"
    assert run("a/b/f", "cat", "/s").out == "in\n"
    for bad in ("nosuch", "out", "up"):
        refused = run(bad, "ls", "/s")
        assert refused.code == 125 and "cannot access path" in refused.err, bad
    assert "subpath must be a relative path within the volume" in run("../vol2", "true").err
    assert mounts_below(pouchd.dir / "run/mounts") == []


def test_images_are_mounted_read_only(docker, pouchd):
    docker("run", "--rm", "--name", "c1", "--detach", "--mount", "type=image,src=seeded,dst=/image", "busybox", "sleep", "1000")
    assert docker("exec", "c1", "cat", "/image/data/sub/deep").out == "deep\n"
    assert "Read-only file system" in docker("exec", "c1", "touch", "/image/x", check=False).err
    mount = mounts_of(docker, "c1")["/image"]
    assert (mount["Type"], mount["Source"], mount["RW"]) == ("image", "seeded", False)
    docker("rm", "--force", "c1")
    sub = docker("run", "--rm", "--mount", "type=image,src=seeded,dst=/image,image-subpath=data/sub", "busybox", "ls", "/image")
    assert sub.out == "deep\n"
    status, message = create(pouchd, Mounts=[{"Type": "image", "Source": "nosuch", "Target": "/i"}])
    assert status == 404 and message.startswith("No such image: nosuch")


def test_events_and_usage(docker):
    since = docker("info", "--format", "{{.SystemTime}}").out.strip()
    docker("volume", "create", "vol1")
    docker("run", "--name", "c1", "-v", "vol1:/x:ro", "busybox", "true")
    identity = inspect(docker, "c1")["Id"]
    df = json.loads(docker("system", "df", "--verbose", "--format", "{{json .Volumes}}").out)
    assert [(row["Name"], row["Links"]) for row in df] == [("vol1", "1")]
    docker("rm", "c1")
    docker("volume", "rm", "vol1")
    docker("volume", "prune", "--force")
    until = docker("info", "--format", "{{.SystemTime}}").out.strip()
    lines = docker("events", "--since", since, "--until", until, "--filter", "type=volume", "--format", "{{json .}}").lines
    told = [(event["Action"], event["Actor"]["ID"], event["Actor"]["Attributes"]) for event in map(json.loads, lines)]
    use = {"driver": "local", "container": identity}
    assert told == [
        ("create", "vol1", {"driver": "local"}),
        ("mount", "vol1", {**use, "destination": "/x", "propagation": "", "read/write": "false"}),
        ("unmount", "vol1", use),
        ("destroy", "vol1", {"driver": "local"}),
        ("prune", "", {"reclaimed": "0"})]


def test_our_command_says_what_dockers_does(docker, pouchd):
    pouch = pouchd.pouch
    for name in ("v10", "v9"):
        assert pouch("volume", "create", "--label", "a=b", name).out == f"{name}\n"
    for args in (["ls"], ["ls", "-q"], ["ls", "--format", "{{.Name}} {{.Driver}} {{.Labels}} {{.Size}}"],
                 ["ls", "--filter", "name=9"], ["inspect", "--format", "{{.Name}} {{json .Labels}}", "v9"]):
        assert pouch("volume", *args).out == docker("volume", *args).out, args
    assert pouch("inspect", "v9", "--format", "{{.Driver}}").out == "local\n"
    assert pouch("run", "--rm", "-v", "v9:/x", "busybox", "sh", "-c", "echo y >/x/f; cat /x/f").out == "y\n"
    assert pouch("volume", "rm", "v9").out == "v9\n"
    missing = pouch("volume", "rm", "v9", check=False)
    assert missing.code == 1 and "get v9: no such volume" in missing.err
    assert pouch("volume", "rm", "-f", "v9").out == "v9\n"
    assert pouch("volume", "prune", "-f").out == "Total reclaimed space: 0B\n"
    assert pouch("volume", "prune", "-f", "-a").out == "Deleted Volumes:\nv10\n\nTotal reclaimed space: 0B\n"


def test_plugins(docker, tmp_path):
    with VolumePlugin(f"pouchtest{os.getpid()}", str(tmp_path)) as plugin:
        refused = docker("volume", "create", "--driver", plugin.name, "--opt", "refuse=x", "pvol0", check=False)
        assert 'VolumeDriver.Create: "as it was asked for"' in refused.err and volumes(docker) == []
        docker("volume", "create", "--driver", plugin.name, "--opt", "a=b", "pvol1")
        shown = volume(docker, "pvol1")
        assert (shown["Driver"], shown["Scope"], shown["Mountpoint"]) == (plugin.name, "global", str(tmp_path / "pvol1"))
        assert plugin.volumes["pvol1"] == {"a": "b"}
        conflict = docker("volume", "create", "--driver", "local", "pvol1", check=False)
        assert "volume name must be unique" in conflict.err
        docker("run", "--detach", "--name", "c1", "--volume", "pvol1:/v", "busybox", "sh", "-c", "echo x >/v/f; sleep 1000")
        assert procs.wait_until((tmp_path / "pvol1/f").exists, 10)
        assert len(plugin.mounts["pvol1"]) == 1
        mount = mounts_of(docker, "c1")["/v"]
        assert (mount["Driver"], mount["Source"]) == (plugin.name, str(tmp_path / "pvol1"))
        docker("rm", "--force", "c1")
        assert procs.wait_until(lambda: not plugin.mounts["pvol1"], 10)
        # Without a name, and with the image's files.
        assert docker("run", "--rm", "--volume-driver", plugin.name, "--volume", "/data", "seeded", "cat", "/data/same").out == "one\n"
        assert procs.wait_until(lambda: list(plugin.volumes) == ["pvol1"], 10)
        # What somebody else has made there is shown, used and removed under its name alone.
        os.mkdir(tmp_path / "theirs")
        plugin.volumes["theirs"] = {}
        assert docker("volume", "ls", "--format", "{{.Driver}} {{.Name}}").lines == [f"{plugin.name} pvol1", f"{plugin.name} theirs"]
        assert volume(docker, "theirs")["Mountpoint"] == str(tmp_path / "theirs")
        docker("run", "--rm", "--volume", "theirs:/v", "busybox", "touch", "/v/f")
        assert (tmp_path / "theirs/f").exists()
        docker("volume", "rm", "theirs")
        os.mkdir(tmp_path / "others")
        plugin.volumes["others"] = {}
        docker("volume", "rm", "others")
        docker("volume", "rm", "pvol1")
        assert not plugin.volumes and "VolumeDriver.Remove" in plugin.methods()
