#!/usr/bin/env python3
"""TLS as sslyze finds it, at both doors of clients: direct, and behind STARTTLS.

    client_sslyze.py

Runs with the Python that sslyze is installed for, and needs nothing else. Prints two lines a door; exit code 0 when both doors are
without a finding.
"""

import os
import pathlib
import sys

from sslyze import (
    CertificateInfoExtraArgument,
    ProtocolWithOpportunisticTlsEnum,
    ScanCommand,
    ScanCommandAttemptStatusEnum,
    ScanCommandsExtraArguments,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanResultAsJson,
)
from sslyze.mozilla_tls_profile.tls_config_checker import (
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

OUT = pathlib.Path(os.environ.get("OUT", pathlib.Path(__file__).resolve().parent.parent / "out"))
DOORS = {"direct-tls": ("TLS_PORT", None), "starttls": ("C2S_PORT", ProtocolWithOpportunisticTlsEnum.XMPP)}
# What of Mozilla's list the certificate brings that the house makes for tests: nobody's list has its authority, and it lives longer
# than one for the public may.
TEST_AUTHORITY = {"certificate_path_validation", "maximum_certificate_lifespan"}
# Not asked: what only a web server has.
COMMANDS = set(ScanCommand) - {ScanCommand.HTTP_HEADERS}


def require(condition, text):
    if not condition:
        raise AssertionError(text)


def scan():
    """Door -> what sslyze has found there."""
    scanner, requests = Scanner(), {}
    for door, (port, starttls) in DOORS.items():
        domain = os.environ["DOMAIN"]
        request = ServerScanRequest(
            server_location=ServerNetworkLocation(hostname=os.environ["HOST"], port=int(os.environ[port])),
            network_configuration=ServerNetworkConfiguration(
                tls_server_name_indication=domain,
                tls_opportunistic_encryption=starttls,
                xmpp_to_hostname=domain if starttls else None,
            ),
            scan_commands=COMMANDS,
            scan_commands_extra_arguments=ScanCommandsExtraArguments(
                certificate_info=CertificateInfoExtraArgument(custom_ca_file=pathlib.Path(os.environ["CA_FILE"]))
            ),
        )
        requests[door] = request
    scanner.queue_scans(list(requests.values()))
    found = {result.uuid: result for result in scanner.get_results()}
    return {door: found[request.uuid] for door, request in requests.items()}


def complete(result):
    """Every question has an answer: one that could not be asked is no good news."""
    require(result.scan_result is not None, f"no connection: {result.connectivity_error_trace}")
    for command in sorted(COMMANDS):
        attempt = getattr(result.scan_result, command.value)
        done = attempt.status == ScanCommandAttemptStatusEnum.COMPLETED
        require(done, f"{command.value} could not be tried: {attempt.error_reason}")
    return result.scan_result


def settings(result):
    """Mozilla's "intermediate", the attacks that have names among it; and nothing is taken before the handshake is done."""
    found = complete(result)
    try:
        wanted = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
        check_server_against_tls_configuration(server_scan_result=result, tls_config_to_check_against=wanted)
    except ServerNotCompliantWithTlsConfiguration as why:
        findings = {name: text for name, text in why.issues.items() if name not in TEST_AUTHORITY}
        require(not findings, "; ".join(f"{name}: {text}" for name, text in findings.items()))
    require(not found.tls_1_3_early_data.result.supports_early_data, "early data is taken, which may be said again by others")
    renegotiation = found.session_renegotiation.result
    require(renegotiation.supports_secure_renegotiation, "renegotiation is not secured")
    versions = {"TLS 1.2": found.tls_1_2_cipher_suites, "TLS 1.3": found.tls_1_3_cipher_suites}
    suites = {name: len(attempt.result.accepted_cipher_suites) for name, attempt in versions.items()}
    require(all(suites.values()), f"a version is missing: {suites}")
    return ", ".join(f"{name} with {count} suites" for name, count in suites.items()) + "; no finding"


def certificate(result):
    """Whoever trusts the test authority finds a chain that holds, and nothing old in it."""
    deployments = complete(result).certificate_info.result.certificate_deployments
    require(deployments, "no certificate")
    for it in deployments:
        ours = [path for path in it.path_validation_results if path.trust_store.name.startswith("Supplied CA")]
        require(ours, "the test authority was not tried")
        require(ours[0].was_validation_successful, f"not trusted: {ours[0].validation_error}")
        require(it.received_chain_has_valid_order, "the chain is not in order")
        require(not it.verified_chain_has_sha1_signature, "signed with SHA-1")
    return f"{len(deployments)} of them, good for whoever trusts the authority"


def main():
    folder = OUT / "sslyze"
    folder.mkdir(parents=True, exist_ok=True)
    results = scan()
    bad = 0
    for door in DOORS:
        result = results[door]
        (folder / f"{door}.json").write_text(ServerScanResultAsJson.model_validate(result).model_dump_json(indent=1))
        for check in (settings, certificate):
            name = f"{door}-{check.__name__}"
            try:
                print(f"ok sslyze {name}: {check(result)}", flush=True)
            except Exception as error:
                bad += 1
                print(f"FAIL sslyze {name}: {' '.join(str(error).split()) or type(error).__name__}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
