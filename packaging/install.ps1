# Installs Wisp for this user alone, in place of any version that is there:
#   powershell -ExecutionPolicy Bypass -File install.ps1
$ErrorActionPreference = "Stop"
$common = Join-Path $env:LOCALAPPDATA "Programs\Common"
$programs = Join-Path $env:LOCALAPPDATA "Programs\Wisp"

function Put($name, $folder) {
    $source = Join-Path $PSScriptRoot $name
    if (-not (Test-Path -LiteralPath $source)) { return }
    New-Item -ItemType Directory -Force -Path $folder | Out-Null
    $target = Join-Path $folder $name
    if (Test-Path -LiteralPath $target) { Remove-Item -LiteralPath $target -Recurse -Force }
    Copy-Item -LiteralPath $source -Destination $target -Recurse
    Write-Output "installed $target"
}

Put "wisp.vst3" (Join-Path $common "VST3")
Put "wisp.clap" (Join-Path $common "CLAP")
Put "wisp.exe" $programs
Put "wisp-standalone.exe" $programs
