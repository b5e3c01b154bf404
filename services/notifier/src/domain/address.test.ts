import { describe, expect, it } from "vitest";
import { isAllowedPrivate, parsePrivateReceivers, refusalOf } from "./address.ts";

describe("refusalOf", () => {
  it.each([
    ...["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"],
    ...["100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "168.63.129.16"],
    ...["::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1"],
    ...["::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:a83f:8110"],
    "not-an-address",
  ])("refuses %s", (address) => expect(refusalOf(address)).toEqual(expect.any(String)));

  it.each(["1.1.1.1", "20.50.2.10", "2606:4700::1111"])("lets %s pass", (address) =>
    expect(refusalOf(address)).toBeUndefined(),
  );
});

describe("the list of private receivers", () => {
  const allowed = parsePrivateReceivers("localhost:9000, [::1]:9001");
  it.each([
    ["http://localhost:9000/hook", true],
    ["http://localhost:9001/hook", false],
    ["http://[::1]:9001/", true],
    ["http://127.0.0.1:9000/", false],
  ])("%s: %s", (url, expected) => expect(isAllowedPrivate(allowed, new URL(url))).toBe(expected));

  it("knows the ports that a URL leaves out", () => {
    expect(isAllowedPrivate(parsePrivateReceivers("hooks:443"), new URL("https://hooks/"))).toBe(true);
    expect(isAllowedPrivate(parsePrivateReceivers("hooks:80"), new URL("http://hooks/"))).toBe(true);
  });

  it("is all, none, or a list; nothing else", () => {
    expect(parsePrivateReceivers("true").all).toBe(true);
    expect(parsePrivateReceivers("")).toEqual({ all: false, hosts: new Set() });
    for (const wrong of ["localhost", "yes", "true, localhost:1", "http://localhost:1"])
      expect(() => parsePrivateReceivers(wrong)).toThrow(/host:port/);
  });
});
