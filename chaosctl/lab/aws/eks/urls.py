"""URL table of the extended EKS service; moto looks for it beside `models`."""

from chaosctl.lab.aws.eks.responses import LabEKSResponse

url_bases = [r"https?://eks\.(.+)\.amazonaws.com"]

# moto picks the operation from botocore's service model, so that one path is enough.
url_paths = {"{0}/.*": LabEKSResponse.dispatch}
